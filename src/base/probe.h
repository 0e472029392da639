/* Static probes for debuggers and tracers (USDT): `readelf -n` lists them, gdb, perf, bpftrace and
 * SystemTap use them.
 *
 * Owns: nothing.  Called by: whoever has something to show.  Must not know: who looks.
 *
 * A probe is one nop, and a note that is not loaded: where it is, its name, and where its arguments
 * lie.  The form is that of <sys/sdt.h>, which is not needed: note type 3 of "stapsdt" has the
 * address, the address of .stapsdt.base (prelink may move both), no semaphore, and three strings.
 */
#ifndef GHI_BASE_PROBE_H
#define GHI_BASE_PROBE_H

#if defined(__x86_64__) && !defined(GHI_MODEL)
#define GHI_PROBE_(name, where, ...)                                                               \
	__asm__ volatile("990:	nop\n"                                                              \
			 "	.pushsection .note.stapsdt,\"?\",\"note\"\n"                            \
			 "	.balign 4\n"                                                            \
			 "	.4byte 992f-991f, 994f-993f, 3\n"                                       \
			 "991:	.asciz \"stapsdt\"\n"                                               \
			 "992:	.balign 4\n"                                                        \
			 "993:	.8byte 990b, _.stapsdt.base, 0\n"                                   \
			 "	.asciz \"greenhook\", \"" #name "\", \"" where "\"\n"              \
			 "994:	.balign 4\n"                                                        \
			 "	.popsection\n"                                                          \
			 "	.ifndef _.stapsdt.base\n"                                               \
			 "	.pushsection "                                                          \
			 ".stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                \
			 "	.weak _.stapsdt.base\n"                                                 \
			 "	.hidden _.stapsdt.base\n"                                               \
			 "_.stapsdt.base: .space 1\n"                                              \
			 "	.size _.stapsdt.base, 1\n"                                              \
			 "	.popsection\n"                                                          \
			 "	.endif\n" ::__VA_ARGS__)
/* The arguments are unsigned and of eight bytes: GHI_IN(a field), which is not loaded for the
 * probe's sake, or GHI_OF(a value). */
#define GHI_IN(field)		  "om"(field)
#define GHI_OF(value)		  "nr"((uint64_t)(value))
#define GHI_PROBE1(name, a)	  GHI_PROBE_(name, "8@%0", a)
#define GHI_PROBE2(name, a, b)	  GHI_PROBE_(name, "8@%0 8@%1", a, b)
#define GHI_PROBE3(name, a, b, c) GHI_PROBE_(name, "8@%0 8@%1 8@%2", a, b, c)
#else
#define GHI_PROBE1(name, a)	  ((void)0)
#define GHI_PROBE2(name, a, b)	  ((void)0)
#define GHI_PROBE3(name, a, b, c) ((void)0)
#endif

#endif
