package vtd

import "fmt"

// String says what a reason means. For reports.
func (r Reason) String() string {
	switch r {
	case RootAbsent:
		return "no root entry"
	case ContextAbsent:
		return "no context entry"
	case ContextInvalid:
		return "invalid context entry"
	case AddressTooLarge:
		return "address beyond the domain"
	case WriteDenied:
		return "not mapped for writing"
	case ReadDenied:
		return "not mapped for reading"
	case TableAccess:
		return "second-level table not in memory"
	case RootAccess:
		return "root table not in memory"
	case ContextAccess:
		return "context table not in memory"
	case RootReserved:
		return "reserved bits in the root entry"
	case ContextReserved:
		return "reserved bits in the context entry"
	case TableReserved:
		return "reserved bits in a second-level entry"
	case TypeBlocked:
		return "request of a blocked type"
	case RequestReserved:
		return "reserved bits in the interrupt request"
	case IndexTooLarge:
		return "index beyond the interrupt table"
	case RemapAbsent:
		return "interrupt not routed"
	case RemapAccess:
		return "interrupt table not in memory"
	case RemapReserved:
		return "reserved bits in the interrupt table"
	case Compatibility:
		return "interrupt in compatibility format"
	case SourceDenied:
		return "interrupt of another function"
	}
	return fmt.Sprintf("reason %#x", uint8(r))
}
