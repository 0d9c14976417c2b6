package acpi

// String says what is wrong with a table. For reports.
func (p Problem) String() string {
	switch p {
	case None:
		return "no problem"
	case Unreadable:
		return "its address is not in memory"
	case Unknown:
		return "another table is at its address"
	case Length:
		return "the length in its header is impossible"
	case Checksum:
		return "its checksum is wrong"
	case Absent:
		return "the firmware has no such table"
	}
	return "unknown problem"
}

// String is the signature as four characters. It allocates.
func (s Signature) String() string {
	return string([]byte{byte(s), byte(s >> 8), byte(s >> 16), byte(s >> 24)})
}
