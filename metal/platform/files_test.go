package main

import (
	"testing"

	"nom.dev/nom/abi/bundle"
)

// The platform reads bundles on its own, without package bundle's code.
func TestBundleConstants(t *testing.T) {
	if bundleHead != bundle.HeadSize || bundleEntry != bundle.EntrySize || nameMax != bundle.NameMax {
		t.Errorf("sizes differ from package bundle's")
	}
	got := make([]byte, 8)
	for i := range got {
		got[i] = byte(uint64(bundleMagic) >> (8 * i))
	}
	if string(got) != bundle.Magic {
		t.Errorf("magic: got %q, want %q", got, bundle.Magic)
	}
}

func TestTableSizes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"inode", inodeSize, 128}, {"entry", entrySize, 128}, {"openFile", openFileSize, 32}, {"pipe", pipeSize, 256},
	} {
		if c.got != c.want || pageSize%c.got != 0 {
			t.Errorf("%s: got %d bytes, want %d", c.name, c.got, c.want)
		}
	}
}
