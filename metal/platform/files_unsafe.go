package main

import "unsafe"

// Sizes of what tables of the file system hold. They divide the page size: TestTableSizes.
const (
	inodeSize    = uint64(unsafe.Sizeof(inode{}))
	entrySize    = uint64(unsafe.Sizeof(entry{}))
	openFileSize = uint64(unsafe.Sizeof(openFile{}))
	pipeSize     = uint64(unsafe.Sizeof(pipe{}))
	socketSize   = uint64(unsafe.Sizeof(socket{}))

	connectionSize = uint64(unsafe.Sizeof(connection{}))
)

const descriptorSize = uint64(unsafe.Sizeof(descriptor{}))

// bytesOf views a string's bytes.
//
// SAFETY: the result is only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
