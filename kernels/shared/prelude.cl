/* What stands before a kernel that a user of the library brings, and before the text of an expression. */
#include "shim.h"
