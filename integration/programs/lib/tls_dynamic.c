/* Loaded with dlopen while threads exist; the general-dynamic model allocates the block of a thread
 * when it first touches the variable. Large, so it never fits surplus static TLS. */
static __thread int value __attribute__((tls_model("global-dynamic"))) = 1234;
static __thread char large[100000] __attribute__((tls_model("global-dynamic")));

int get_value(void)
{
	return value + large[sizeof(large) - 1];
}

void set_value(int v)
{
	large[5] = (char)v;
	value = v;
}
