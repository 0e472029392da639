/* Loaded with dlopen while threads exist; built with the initial-exec TLS model, so the loader has
 * to initialise the variable inside every existing thread's static TLS. */
static __thread int value __attribute__((tls_model("initial-exec"))) = 1234;

int get_value(void)
{
	return value;
}

void set_value(int v)
{
	value = v;
}
