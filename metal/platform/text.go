package main

// text writes words and numbers into a file, a page at a time: strings cannot be built here.
type text struct {
	to     *inode
	size   uint64 // what the file has
	n      uint64 // what waits in textPage
	failed bool   // memory was short
}

// There is one text at a time: kernelLock guards it, as all files.
var (
	theText  text
	textPage [pageSize]byte
)

// newText begins a text in an empty file.
func newText(to *inode) *text {
	theText = text{to: to}
	return &theText
}

func (t *text) byte(c byte) {
	if t.n == pageSize {
		t.flush()
	}
	textPage[t.n] = c
	t.n++
}

func (t *text) flush() {
	if t.n != 0 && t.to.writeAt(addressOf(&textPage), t.n, t.size) != t.n {
		t.failed = true
	}
	t.size += t.n
	t.n = 0
}

func (t *text) put(s string) {
	for i := range len(s) {
		t.byte(s[i])
	}
}

func (t *text) bytes(b []byte) {
	for _, c := range b {
		t.byte(c)
	}
}

// dec writes v, and a word after it.
func (t *text) dec(v uint64, after string) {
	var b [20]byte
	t.bytes(b[decimal(&b, v):])
	t.put(after)
}

// hex writes at least width digits of v, and a word after them.
func (t *text) hex(v uint64, width int, after string) {
	shift := 60
	for shift >= width*4 && v>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		t.byte(hexDigits[v>>shift&15])
	}
	t.put(after)
}

// word writes the eight bytes of v.
func (t *text) word(v uint64) {
	for range 8 {
		t.byte(byte(v))
		v >>= 8
	}
}

// column writes s and fills up to width with spaces.
func (t *text) column(s string, width int) {
	t.put(s)
	for i := len(s); i < width; i++ {
		t.byte(' ')
	}
}

// decimal writes v to the end of b and returns where it starts.
func decimal(b *[20]byte, v uint64) int {
	i := len(b)
	for {
		i--
		b[i] = byte('0' + v%10)
		v /= 10
		if v == 0 {
			return i
		}
	}
}

const hexDigits = "0123456789abcdef"
