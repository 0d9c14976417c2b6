package pci

// The SR-IOV extended capability: offsets from its header, and bits. 9.3.3.
const (
	SRIOVSize        = 0x40
	SRIOVCap         = 0x04
	SRIOVControl     = 0x08 // control 15:0, status 31:16
	SRIOVInitial     = 0x0c // InitialVFs 15:0, TotalVFs 31:16
	SRIOVNum         = 0x10 // NumVFs 15:0
	SRIOVPlace       = 0x14 // First VF Offset 15:0, VF Stride 31:16
	SRIOVDevice      = 0x18 // VF Device ID 31:16
	SRIOVPages       = 0x1c // supported page sizes: bit n is 4 KiB << n
	SRIOVPageSize    = 0x20 // the one in use
	SRIOVBAR0        = 0x24 // six registers
	SRIOVBARs        = 6
	SRIOVPage4K      = 1 << 0
	SRIOVEnable      = 1 << 0 // VFE
	SRIOVMemory      = 1 << 3 // MSE
	SRIOVARI         = 1 << 4 // ARI capable hierarchy; functions may then have numbers above 7
	SRIOVControlMask = 0xffff
)

// VFMillis is how long after VFE is set no virtual function may be asked anything. 9.3.3.3.1.
const VFMillis = 100

// VFs takes the numbers out of the 32 bits at SRIOVInitial.
func VFs(v uint32) (initial, total uint16) { return uint16(v), uint16(v >> 16) }

// VFDevice takes the device id of virtual functions out of the 32 bits at SRIOVDevice; their own register reads as ffff.
func VFDevice(v uint32) uint16 { return uint16(v >> 16) }

// VF is the requester id of virtual function n (from 0 on) of a physical function, from the 32 bits at SRIOVPlace as they are after
// NumVFs and the ARI bit were set; false when there can be none with that number. 9.3.3.8 to 9.3.3.10.
func VF(pf RID, place uint32, n uint16) (RID, bool) {
	offset, stride := place&0xffff, place>>16
	id := uint32(pf) + offset + stride*uint32(n)
	return RID(id), offset != 0 && (stride != 0 || n == 0) && id <= 0xffff && uint64(stride)*uint64(n) <= 0xffff
}
