package cpu

var featureNames = [numFeatures]string{
	"tsc", "apic", "pat", "fxsr", "sse2", "x2apic", "tsc-deadline", "xsave", "avx", "rdrand", "pcid", "monitor", "hypervisor",
	"fsgsbase", "smep", "invpcid", "avx512f", "rdseed", "smap", "umip", "pku", "la57", "rdpid", "fsrm", "xsaveopt", "xsavec",
	"xsaves", "arat", "svm", "syscall", "nx", "pdpe1gb", "rdtscp", "lm", "topoext", "invtsc", "invlpgb", "npt", "flushbyasid",
	"nrip-save", "vmx",
}

// Name is the name QEMU and Linux know the lowest feature of the set by; "" for an empty set.
func (f Feature) Name() string {
	for i, name := range featureNames {
		if f>>i&1 != 0 {
			return name
		}
	}
	return ""
}

// String lists the names, separated by spaces. It allocates.
func (f Features) String() string {
	s := ""
	for i, name := range featureNames {
		if f>>i&1 == 0 {
			continue
		}
		if s != "" {
			s += " "
		}
		s += name
	}
	return s
}

// String is the vendor's name without the padding. It allocates.
func (v Vendor) String() string {
	n := len(v)
	for n > 0 && v[n-1] == 0 {
		n--
	}
	return string(v[:n])
}
