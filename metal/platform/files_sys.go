package main

// /sys and /proc/sys.

func writeHugePage(t *text)   { t.dec(hugeSize, "\n") }
func writeHugeAlways(t *text) { t.put("[always] madvise never\n") }

// writeCPUs lists the CPUs that the program has, as "0-2,4".
func writeCPUs(t *text) { writeList(t, programCPUs()) }

// writePossible lists all that it may ever have.
func writePossible(t *text) { writeList(t, 1<<ncpu-1) }

func writeList(t *text, mask uint64) {
	separate := false
	for i := uint64(0); i < maxCPUs; i++ {
		if mask>>i&1 == 0 {
			continue
		}
		if separate {
			t.byte(',')
		}
		separate = true
		t.dec(i, "")
		first := i
		for i+1 < maxCPUs && mask>>(i+1)&1 != 0 {
			i++
		}
		if i != first {
			t.byte('-')
			t.dec(i, "")
		}
	}
	t.byte('\n')
}

const (
	osType    = "Linux"
	osRelease = "6.1.0-nom"
	osVersion = "nom"
)

func writeType(t *text)        { t.put(osType + "\n") }
func writeRelease(t *text)     { t.put(osRelease + "\n") }
func writeBuild(t *text)       { t.put(osVersion + "\n") }
func writeDescriptors(t *text) { t.dec(maxDescriptors, "\n") }
func writeBacklog(t *text)     { t.dec(mostQueued, "\n") }
func writeMappings(t *text)    { t.dec(uint64(len(vmas.t)), "\n") }

func writePorts(t *text) {
	t.dec(firstEphemeral, "\t")
	t.dec(lastEphemeral, "\n")
}
