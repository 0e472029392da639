/* A library with the note that Go's linker leaves (-buildmode=c-shared). */
__asm__(".pushsection .note.go.buildid, \"a\", @note\n"
	".long 4, 4, 4\n"
	".ascii \"Go\\0\\0\"\n"
	".ascii \"none\"\n"
	".popsection");

int go_note;
