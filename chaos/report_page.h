#ifndef CHAOS_REPORT_PAGE_H
#define CHAOS_REPORT_PAGE_H

/* The text of chaos/report_page.html. */
extern const char report_page[] __attribute__((visibility("hidden")));

#endif
