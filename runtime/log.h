/* The daemons' own log lines (not the durable log, that is log_store): to stderr, for people when it is
 * a terminal (or ASSENT_LOG=text), one JSON object a line otherwise (or ASSENT_LOG=json).
 *
