// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * In the place of a 32-bit libgcc_s, which Debian has in no package that the build
 * root needs: what Rust's standard library takes from it. There is no unwinding: a
 * panic ends the program, and there are no backtraces.
 */

#define END_OF_STACK 5

int _Unwind_RaiseException(void *exception);
int _Unwind_Backtrace(void *callback, void *argument);
void _Unwind_Resume(void *exception);
void _Unwind_DeleteException(void *exception);
unsigned long _Unwind_GetIP(void *context);
unsigned long _Unwind_GetIPInfo(void *context, int *before);
unsigned long _Unwind_GetRegionStart(void *context);
unsigned long _Unwind_GetTextRelBase(void *context);
unsigned long _Unwind_GetDataRelBase(void *context);
void *_Unwind_GetLanguageSpecificData(void *context);
void _Unwind_SetGR(void *context, int index, unsigned long value);
void _Unwind_SetIP(void *context, unsigned long value);

int _Unwind_RaiseException(void *exception)
{
	return END_OF_STACK;
}

int _Unwind_Backtrace(void *callback, void *argument)
{
	return END_OF_STACK;
}

void _Unwind_Resume(void *exception)
{
	__builtin_trap();
}

void _Unwind_DeleteException(void *exception)
{
}

unsigned long _Unwind_GetIP(void *context)
{
	return 0;
}

unsigned long _Unwind_GetIPInfo(void *context, int *before)
{
	*before = 0;
	return 0;
}

unsigned long _Unwind_GetRegionStart(void *context)
{
	return 0;
}

unsigned long _Unwind_GetTextRelBase(void *context)
{
	return 0;
}

unsigned long _Unwind_GetDataRelBase(void *context)
{
	return 0;
}

void *_Unwind_GetLanguageSpecificData(void *context)
{
	return (void *)0;
}

void _Unwind_SetGR(void *context, int index, unsigned long value)
{
}

void _Unwind_SetIP(void *context, unsigned long value)
{
}
