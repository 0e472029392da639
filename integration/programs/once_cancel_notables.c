/* once_cancel.c in frames that an unwinder cannot pass. */
#include "once_cancel.c"
