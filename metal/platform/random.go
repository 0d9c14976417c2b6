package main

// Random numbers for programs: ChaCha20 (RFC 8439, section 2.3) with fast key erasure. Each request replaces the key before anything is given
// out, so that what was given cannot be found again from memory. It begins with the boot page's seed, and RDRAND goes into the key with
// each request: either is enough to make what comes unforeseeable.

// randomKey is guarded by randomLock, which is taken for a moment, and with which no other is taken: two CPUs with the same key would give two
// threads the same bytes.
var (
	randomKey  [8]uint32
	randomLock spinLock
)

// seedRandom takes the seed, and the moment, because an image may start more than once.
func seedRandom(seed *[32]byte) {
	for i := range randomKey {
		randomKey[i] = uint32(seed[4*i]) | uint32(seed[4*i+1])<<8 | uint32(seed[4*i+2])<<16 | uint32(seed[4*i+3])<<24
	}
	t := rdtsc()
	randomKey[0] ^= uint32(t)
	randomKey[1] ^= uint32(t >> 32)
}

// randomBytes fills n bytes at p.
func randomBytes(p, n uint64) uint64 {
	in := chachaKey(requestKey())
	var out [16]uint32
	for b := bytesAt(p, n); len(b) > 0; in[12]++ { // 2^32 blocks are more than one request has
		chachaBlock(&out, &in)
		k := min(len(b), 64)
		for i := range k {
			b[i] = byte(out[i/4&15] >> (i % 4 * 8))
		}
		b = b[k:]
	}
	return n
}

// requestKey makes a key for one request, and the next of the generator.
func requestKey() (key [8]uint32) {
	var fresh [4]uint64
	if hasRDRAND {
		for i := range fresh {
			fresh[i] = rdrand()
		}
	}
	randomLock.lock()
	for i, w := range fresh {
		randomKey[2*i] ^= uint32(w)
		randomKey[2*i+1] ^= uint32(w >> 32)
	}
	in := chachaKey(randomKey)
	var out [16]uint32
	chachaBlock(&out, &in)
	randomKey = [8]uint32(out[:8])
	randomLock.unlock()
	return [8]uint32(out[8:])
}

// chachaKey is the state that begins a stream: constants, key, counter and nonce of zero.
func chachaKey(key [8]uint32) [16]uint32 {
	return [16]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7]}
}

// chachaBlock is the block function of RFC 8439, section 2.3.
func chachaBlock(out, in *[16]uint32) {
	x := *in
	for range 10 {
		x[0], x[4], x[8], x[12] = quarterRound(x[0], x[4], x[8], x[12])
		x[1], x[5], x[9], x[13] = quarterRound(x[1], x[5], x[9], x[13])
		x[2], x[6], x[10], x[14] = quarterRound(x[2], x[6], x[10], x[14])
		x[3], x[7], x[11], x[15] = quarterRound(x[3], x[7], x[11], x[15])
		x[0], x[5], x[10], x[15] = quarterRound(x[0], x[5], x[10], x[15])
		x[1], x[6], x[11], x[12] = quarterRound(x[1], x[6], x[11], x[12])
		x[2], x[7], x[8], x[13] = quarterRound(x[2], x[7], x[8], x[13])
		x[3], x[4], x[9], x[14] = quarterRound(x[3], x[4], x[9], x[14])
	}
	for i := range x {
		out[i] = x[i] + in[i]
	}
}

func quarterRound(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d ^= a
	d = d<<16 | d>>16
	c += d
	b ^= c
	b = b<<12 | b>>20
	a += b
	d ^= a
	d = d<<8 | d>>24
	c += d
	b ^= c
	b = b<<7 | b>>25
	return a, b, c, d
}
