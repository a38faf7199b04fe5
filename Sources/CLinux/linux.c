#include "CLinux.h"

_Thread_local const void *baton_loop_of_this_thread = 0;
