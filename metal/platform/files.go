package main

// Files: one tree in memory. It starts as the bundle that came with the program, whose pages are lent and read in place;
// whatever the program changes or adds lies in frames of the page pool and is gone when the program ends.
//
//	files.go         this overview, the calls
//	files_space.go   frames for data, tables of small things
//	files_bundle.go  the read-only tree
//	files_inode.go   what was changed or added: inodes, their data
//	files_dir.go     directories and their entries; taking over what is in the bundle
//	files_path.go    paths to nodes
//	files_cwd.go     the working directory and its path
//	files_setup.go   what is there at the start
//	files_etc.go     /etc
//	files_generated.go  what is made when it is read: files_proc.go, files_process.go, files_sys.go, files_cgroup.go
//	files_open.go    open files
//	files_io.go      reading and writing them
//	files_change.go  making, removing, renaming
//	files_attr.go    mode, owner, times, size
//	files_stat.go    stat, statfs, access, reading directories
//	files_user.go    may the platform touch what the program points at?
//
// Everything is guarded by kernelLock; memLock is taken only to take and give back frames, never while the program's
// memory is touched. Semantics are Linux's for a user who is root, which TestFilesLikeLinux checks.

// Calls beyond those of syscall.go.
const (
	sysPipe          = 22
	sysDup2          = 33
	sysSendfile      = 40
	sysTruncate      = 76
	sysCreat         = 85
	sysLink          = 86
	sysSymlink       = 88
	sysFchmod        = 91
	sysChown         = 92
	sysFchown        = 93
	sysLchown        = 94
	sysStatfs        = 137
	sysFstatfs       = 138
	sysSync          = 162
	sysReadahead     = 187
	sysFadvise64     = 221
	sysFchownat      = 260
	sysLinkat        = 265
	sysSymlinkat     = 266
	sysFchmodat      = 268
	sysSplice        = 275
	sysSyncFileRange = 277
	sysUtimensat     = 280
	sysDup3          = 292
	sysPreadv        = 295
	sysPwritev       = 296
	sysSyncfs        = 306
	sysRenameat2     = 316
	sysCopyFileRange = 326
	sysStatx         = 332
	sysFchmodat2     = 452
)

const (
	eIO         = 5
	eNXIO       = 6
	eACCES      = 13
	eBUSY       = 16
	eXDEV       = 18
	eNFILE      = 23
	eFBIG       = 27
	eMLINK      = 31
	ePIPE       = 32
	eRANGE      = 34
	eLOOP       = 40
	eOPNOTSUPP  = 95
	atFDCWD     = ^uint64(99) // -100
	atNoFollow  = 0x100
	atRemoveDir = 0x200
	atFollow    = 0x400
	atEmptyPath = 0x1000
)

// fileCall answers the calls on files and their names.
func fileCall(f *frame, n uint64) (uint64, bool) {
	a, b, c, d := f.DI, f.SI, f.DX, f.R10
	if r, ok := fileDescriptorCall(n, a, b, c, d); ok {
		return r, true
	}
	if r, ok := fileAtCall(f, n); ok {
		return r, true
	}
	switch n {
	case sysOpen:
		return openAt(atFDCWD, a, b, c), true
	case sysCreat:
		return openAt(atFDCWD, a, oCreat|oTrunc|oWronly, b), true
	case sysStat:
		return statAt(atFDCWD, a, b, 0), true
	case sysLstat:
		return statAt(atFDCWD, a, b, atNoFollow), true
	case sysAccess:
		return accessAt(atFDCWD, a, b, 0), true
	case sysReadlink:
		return readlinkAt(atFDCWD, a, b, c), true
	case sysMkdir:
		return mkdirAt(atFDCWD, a, b), true
	case sysRmdir:
		return unlinkAt(atFDCWD, a, atRemoveDir), true
	case sysUnlink:
		return unlinkAt(atFDCWD, a, 0), true
	case sysRename:
		return renameAt(atFDCWD, a, atFDCWD, b, 0), true
	case sysLink:
		return linkAt(atFDCWD, a, atFDCWD, b, 0), true
	case sysSymlink:
		return symlinkAt(a, atFDCWD, b), true
	case sysChmod:
		return chmodAt(atFDCWD, a, b, 0), true
	case sysChown:
		return chownAt(atFDCWD, a, b, c, 0), true
	case sysLchown:
		return chownAt(atFDCWD, a, b, c, atNoFollow), true
	case sysTruncate:
		return truncatePath(a, b), true
	case sysStatfs:
		return statfsPath(a, b), true
	case sysChdir:
		return chdir(a), true
	case sysGetcwd:
		return getcwd(a, b), true
	case sysUmask:
		old := umask
		umask = uint32(a) & 0o777
		return uint64(old), true
	case sysSync:
		return 0, true
	case sysPipe:
		return newPipe(a, 0), true
	case sysPipe2:
		return newPipe(a, b), true
	}
	return 0, false
}

// fileAtCall answers the calls that take a directory's descriptor.
func fileAtCall(f *frame, n uint64) (uint64, bool) {
	a, b, c, d := f.DI, f.SI, f.DX, f.R10
	switch n {
	case sysOpenat:
		return openAt(a, b, c, d), true
	case sysNewfstatat:
		return statAt(a, b, c, d), true
	case sysFaccessat:
		return accessAt(a, b, c, 0), true
	case sysFaccessat2:
		return accessAt(a, b, c, d), true
	case sysReadlinkat:
		return readlinkAt(a, b, c, d), true
	case sysMkdirat:
		return mkdirAt(a, b, c), true
	case sysUnlinkat:
		return unlinkAt(a, b, c), true
	case sysRenameat:
		return renameAt(a, b, c, d, 0), true
	case sysRenameat2:
		return renameAt(a, b, c, d, f.R8), true
	case sysLinkat:
		return linkAt(a, b, c, d, f.R8), true
	case sysSymlinkat:
		return symlinkAt(a, b, c), true
	case sysFchmodat:
		return chmodAt(a, b, c, 0), true
	case sysFchmodat2:
		return chmodAt(a, b, c, d), true
	case sysFchownat:
		return chownAt(a, b, c, d, f.R8), true
	case sysUtimensat:
		return utimensAt(a, b, c, d), true
	}
	return 0, false
}

// fileDescriptorCall answers the calls on an open file.
func fileDescriptorCall(n, a, b, c, d uint64) (uint64, bool) {
	switch n {
	case sysRead:
		return readDescriptor(a, b, c), true
	case sysWrite:
		return writeDescriptor(a, b, c), true
	case sysReadv, sysWritev:
		return vectored(n, a, b, c), true
	case sysPread64, sysPwrite64:
		return positioned(n, a, b, c, d), true
	case sysPreadv, sysPwritev:
		return positionedVectored(n, a, b, c, d), true
	case sysLseek:
		return seek(a, b, c), true
	case sysFstat:
		return fstat(a, b), true
	case sysGetdents64:
		return getdents(a, b, c), true
	case sysFtruncate:
		return ftruncate(a, b), true
	case sysFallocate:
		return fallocate(a, b, c, d), true
	case sysFchmod:
		return fchmod(a, b), true
	case sysFchown:
		return fchown(a, b, c), true
	case sysFstatfs:
		return fstatfs(a, b), true
	case sysFchdir:
		return fchdir(a), true
	case sysDup:
		return duplicate(a, 0), true
	case sysDup2, sysDup3:
		return duplicateTo(a, b, n == sysDup3), true
	case sysFsync, sysFdatasync, sysFlock, sysSyncFileRange, sysSyncfs, sysFadvise64, sysReadahead:
		return needDescriptor(a), true
	case sysIoctl:
		if r := needDescriptor(a); r != 0 {
			return r, true
		}
		return errno(eNOTTY), true
	case sysSendfile, sysSplice: // Go copies by read and write then
		return errno(eINVAL), true
	case sysCopyFileRange, sysStatx:
		return errno(eNOSYS), true
	}
	return 0, false
}

// needDescriptor answers a call that has nothing to do for an open descriptor.
func needDescriptor(fd uint64) uint64 {
	if fd >= usedDescriptors || descriptors[fd].kind == fdFree {
		return errno(eBADF)
	}
	return 0
}
