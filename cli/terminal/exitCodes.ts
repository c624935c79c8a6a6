/** Exit codes of every command. A run that a signal stopped ends with 128 + the signal's number, as shells have it: 130 after Ctrl-C. */
export const exitCodes = { success: 0, failure: 1, wrongUsage: 2, hungUp: 129, interrupted: 130, terminated: 143 } as const
