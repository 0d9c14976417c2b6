package main

import "nom.dev/nom/abi"

// Files in /etc from which programs learn who and where they are. They are ordinary files, made unless the bundle has one.

func makeEtc() {
	etc := makeDefault("etc", modeDir|0o755, 0)
	if etc == 0 || !etc.isDir() {
		return
	}
	hosts := fillFile(etc, "hosts", writeHosts)
	fillFile(etc, "hostname", writeName)
	fillFile(etc, "machine-id", writeMachineID)
	fillFile(etc, "nsswitch.conf", writeSwitch)
	if dhcp.on {
		keepPlaceFiles(hosts, fillFile(etc, "resolv.conf", writeResolver))
	} else if environment(abi.DNSEnv+"=") != nil {
		fillFile(etc, "resolv.conf", writeResolver)
	}
}

// fillFile makes a file unless there is one. It returns the one that it made.
func fillFile(dir node, name string, write func(*text)) node {
	if lookup(dir, bytesOf(name)) != 0 {
		return 0
	}
	n := makeIn(dir, name, modeRegular|0o644, 0)
	if n != 0 {
		rewrite(n, write)
	}
	return n
}

func rewrite(n node, write func(*text)) {
	f := inodeAt(uint32(n))
	f.cut(0)
	t := newText(f)
	write(t)
	t.flush()
}

// machineName is the container's name.
func machineName() []byte {
	b := bootPage.Name[:]
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

func writeName(t *text) {
	t.bytes(machineName())
	t.byte('\n')
}

// writeHosts names the container with its address in its network, or one of its own where it is in none.
func writeHosts(t *text) {
	t.put("127.0.0.1 localhost\n::1 localhost\n")
	name := machineName()
	if len(name) == 0 {
		return
	}
	address := environment(abi.AddressEnv + "=")
	for i, c := range address {
		if c == '/' {
			address = address[:i]
			break
		}
	}
	switch {
	case dhcp.client.Bound():
		t.address(dhcp.client.Lease.Address)
	case dhcp.on || len(address) == 0:
		t.put("127.0.1.1")
	default:
		t.bytes(address)
	}
	t.byte(' ')
	t.bytes(name)
	t.byte('\n')
}

func writeSwitch(t *text) { t.put("hosts: files dns\n") }

func writeResolver(t *text) {
	if dhcp.on {
		writeServers(t)
		return
	}
	t.put("nameserver ")
	t.bytes(environment(abi.DNSEnv + "="))
	t.byte('\n')
}

// writeMachineID makes an id of this start: there is nothing that outlives it. The seed's first words feed random numbers and
// stay secret.
func writeMachineID(t *text) {
	const basis, prime = 0xcbf2_9ce4_8422_2325, 0x100_0000_01b3 // FNV-1a
	h := uint64(basis)
	for range 2 {
		for _, c := range bootPage.Name {
			h = (h ^ uint64(c)) * prime
		}
		for _, c := range bootPage.Seed[16:] {
			h = (h ^ uint64(c)) * prime
		}
		t.hex(h, 16, "")
	}
	t.byte('\n')
}

// writeExe is the program's own path: argv[0] made absolute, as it would expect to have been started.
func writeExe(t *text) {
	name := direct(bootPage.Args.Addr)
	if bootPage.NumArgs == 0 || *at[byte](name) == 0 {
		t.put("/program")
		return
	}
	if *at[byte](name) != '/' {
		if dir := environment("PWD="); len(dir) > 1 && dir[0] == '/' {
			t.bytes(dir)
		}
		t.byte('/')
	}
	t.bytes(bytesAt(name, afterNUL(name)-1-name))
}
