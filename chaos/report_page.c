/* chaos/report_page.html, as it is in the source tree, inside the program. */
#include "chaos/report_page.h"

__asm__(".pushsection .rodata\n"
        ".global report_page\n"
        "report_page:\n"
        ".incbin \"chaos/report_page.html\"\n"
        ".byte 0\n"
        ".popsection\n");
