/* x86-64: the jump at a function's entry, and whether there is room for it; see ../jump.h.
 *
 * Five bytes when the target is within 2 GiB (libc and this library nearly always are), fourteen
 * otherwise.  Nothing is relocated: the overwritten function is never run again, so its
 * instructions need only be recognised.  Recognising is a short list of opcodes on purpose: what is
 * not on it, a breakpoint or somebody else's jump for instance, means hands off.
 */
#include <stdint.h>
#include <string.h>

#include "src/arch/jump.h"

static const unsigned char endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

unsigned ghi_jump_keep(const unsigned char *code, size_t size)
{
	return size >= 4 && !__builtin_memcmp(code, endbr64, 4) ? 4 : 0;
}

unsigned ghi_jump_encode(unsigned char ret[GHI_JUMP_MAX], const void *at, const void *to)
{
	int64_t off = (int64_t)((uintptr_t)to - ((uintptr_t)at + 5));
	if (off == (int32_t)off) { /* jmp rel32 */
		int32_t off32 = (int32_t)off;
		ret[0] = 0xe9;
		__builtin_memcpy(ret + 1, &off32, 4);
		return 5;
	}
	static const unsigned char far[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
	__builtin_memcpy(ret, far, 6);
	__builtin_memcpy(ret + 6, &to, 8);
	return 14;
}

/* Bytes of a ModRM byte with what follows it, without an immediate. */
static unsigned modrm(const unsigned char *p)
{
	unsigned mod = p[0] >> 6, rm = p[0] & 7, n = 1;
	if (mod == 3)
		return n;
	if (rm == 4) {
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			n += 4;
	}
	if (mod == 0 && rm == 5)
		n += 4; /* relative to rip */
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* Length of an instruction that functions begin with; 0: none of those. */
static unsigned length(const unsigned char *p)
{
	unsigned n = 0;
	bool wide = false;

	if (p[n] == 0x64 || p[n] == 0x66) /* %fs:, 16 bits */
		n++;
	if ((p[n] & 0xf0) == 0x40) { /* REX */
		wide = p[n] & 8;
		n++;
	}
	unsigned char op = p[n++];
	switch (op) {
	case 0x50 ... 0x57: /* push */
		return n;
	case 0xb8 ... 0xbf: /* mov imm; of 64 bits: half of somebody's jump */
		return wide ? 0 : n + 4;
	case 0x01: /* arithmetic, test, mov, lea, movslq */
	case 0x03:
	case 0x09:
	case 0x21:
	case 0x29:
	case 0x2b:
	case 0x31:
	case 0x33:
	case 0x39:
	case 0x3b:
	case 0x63:
	case 0x84:
	case 0x85:
	case 0x87:
	case 0x89:
	case 0x8b:
	case 0x8d:
		return n + modrm(p + n);
	case 0x80: /* with an immediate */
	case 0x83:
		return n + modrm(p + n) + 1;
	case 0x81:
	case 0xc7:
		return n + modrm(p + n) + 4;
	case 0x70 ... 0x7f: /* jcc */
		return n + 1;
	case 0x6a: /* push imm8 */
		return n + 1;
	case 0x3d: /* cmp imm, %eax */
	case 0xe8: /* call */
		return n + 4;
	case 0x0f:
		op = p[n++];
		if (op == 0x05) /* syscall */
			return n;
		if (op >= 0x80 && op <= 0x8f) /* jcc */
			return n + 4;
		if (op == 0x44 || op == 0x45 || op == 0xb6 || op == 0xb7)
			return n + modrm(p + n);
		return 0;
	default:
		return 0;
	}
}

/* Where the bytes at i would jump if they were a jump; 0: they are none. */
static int64_t target(const unsigned char *code, size_t size, size_t i)
{
	int32_t off;
	unsigned char op = code[i];

	if (((op & 0xf0) == 0x70 || op == 0xeb || (op >= 0xe0 && op <= 0xe3)) && i + 2 <= size)
		return (int64_t)i + 2 + (int8_t)code[i + 1];
	if ((op == 0xe8 || op == 0xe9) && i + 5 <= size) {
		memcpy(&off, code + i + 1, 4);
		return (int64_t)i + 5 + off;
	}
	if (op == 0x0f && i + 6 <= size && (code[i + 1] & 0xf0) == 0x80) {
		memcpy(&off, code + i + 2, 4);
		return (int64_t)i + 6 + off;
	}
	return 0;
}

const char *ghi_jump_check(const unsigned char *code, size_t size, unsigned keep, unsigned n)
{
	if (size < keep + n)
		return "it is too short";
	/* A decoded instruction has at most 15 bytes; its tail may be looked at. */
	for (unsigned at = keep; at < keep + n;) {
		unsigned len = size - at >= 16 ? length(code + at) : 0;
		if (!len && size - at < 16) {
			unsigned char tail[32] = {0};
			memcpy(tail, code + at, size - at);
			len = length(tail);
		}
		if (!len)
			return "its first instructions are unknown: another tool may have changed "
			       "them";
		at += len;
	}
	/* Every byte is taken for the beginning of an instruction: better one refusal too many. */
	for (size_t i = 0; i < size; i++) {
		int64_t to = target(code, size, i);
		if (to > (int64_t)keep && to < (int64_t)(keep + n))
			return "something jumps between its first instructions";
	}
	return NULL;
}

bool ghi_jump_wraps(const unsigned char *code, size_t size, int nr)
{
	bool number = false, kernel = false;
	uint32_t imm;

	for (size_t i = 0; i + 2 <= size; i++) {
		if ((code[i] == 0xb8 || code[i] == 0x68) && i + 5 <= size) { /* mov, push */
			memcpy(&imm, code + i + 1, 4);
			number |= imm == (uint32_t)nr;
		}
		number |= code[i] == 0x6a && code[i + 1] == nr;
		number |= nr == 0 && code[i] == 0x31 && code[i + 1] == 0xc0; /* xor %eax,%eax */
		kernel |= (code[i] == 0x0f && code[i + 1] == 0x05) || code[i] == 0xe8;
	}
	return number && kernel;
}

/* The locks of glibc before it wrote them in C begin with push %r10 or push %rdx. */
bool ghi_jump_own_convention(const unsigned char *code, size_t size)
{
	return size >= 2 &&
	       ((code[0] & 0xf8) == 0x50 || (code[0] == 0x41 && (code[1] & 0xf8) == 0x50));
}
