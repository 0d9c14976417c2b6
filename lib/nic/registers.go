package nic

// Registers of a virtual function, 82576 datasheet section 8.26. Those of queue n lie n*queueStride further on.
const (
	regSTATUS    = 0x0008
	regVTEICS    = 0x1520
	regVTEIMS    = 0x1524
	regVTEIMC    = 0x1528
	regVTEIAC    = 0x152c
	regVTEICR    = 0x1580
	regVTEITR    = 0x1680 // + 4 * vector
	regVTIVAR    = 0x1700
	regVTIVARMsc = 0x1740

	regRDBAL  = 0x2800
	regRDBAH  = 0x2804
	regRDLEN  = 0x2808
	regSRRCTL = 0x280c
	regRDH    = 0x2810
	regRDT    = 0x2818
	regRXDCTL = 0x2828

	regTDBAL  = 0x3800
	regTDBAH  = 0x3804
	regTDLEN  = 0x3808
	regTDH    = 0x3810
	regTDT    = 0x3818
	regTXDCTL = 0x3828
	regTDWBAL = 0x3838
	regTDWBAH = 0x383c

	queueStride = 0x100
)

// Bits of registers.
const (
	statusLU      = 1 << 1
	dctlEnable    = 1 << 25 // RXDCTL, TXDCTL
	srrctlAdvOne  = 1 << 25 // one buffer, advanced descriptors
	srrctlDrop    = 1 << 31 // a full ring drops and does not hold up the other functions
	tdwbalEnable  = 1 << 0
	ivarValid     = 0x80
	vectors       = 3
	eitrMicrosBit = 2 // the interval begins here, in microseconds
)

// Receive descriptor as written back, second quadword: section 7.1.5.2.
const (
	rxDD    = 1 << 0
	rxEOP   = 1 << 1
	rxVP    = 1 << 3
	rxUDPCS = 1 << 4
	rxTCPCS = 1 << 5
	rxIPCS  = 1 << 6
	rxL4E   = 1 << 29
	rxIPE   = 1 << 30
	rxRXE   = 1 << 31
)

// Transmit descriptor, second quadword: section 7.2.2.
const (
	txDTypData    = 3 << 20
	txDTypContext = 2 << 20
	txEOP         = 1 << 24
	txIFCS        = 1 << 25
	txRS          = 1 << 27
	txDEXT        = 1 << 29
	txIDXShift    = 36
	txIXSM        = 1 << 40
	txTXSM        = 1 << 41
	txPaylenShift = 46

	ctxIPv4     = 1 << 10 // TUCMD.IPV4
	ctxTCP      = 1 << 11 // TUCMD.L4T = TCP; 0 = UDP
	ctxMACShift = 9       // in the first quadword, as the length of the IP header at 0
)
