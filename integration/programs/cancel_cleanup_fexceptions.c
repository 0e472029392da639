#include "cancel_cleanup.c" /* with -fexceptions, see the Makefile */
