/* no_module.c: a shared library that is no module. */
int no_module(void);
int no_module(void)
{
    return 1;
}
