/* The smallest program there is: exit(0), three instructions, no libc. Its start and end are the floor of every spawn figure. */
void _start(void) {
#if defined(__x86_64__)
    __asm__ volatile("xor %edi, %edi\n\tmov $231, %eax\n\tsyscall");
#elif defined(__aarch64__)
    __asm__ volatile("mov x0, #0\n\tmov x8, #94\n\tsvc #0");
#else
#error "exit_group for this machine is missing"
#endif
    __builtin_unreachable();
}
