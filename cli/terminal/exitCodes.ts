/** Exit codes of every command. After a signal it is 128 + the signal's number, as in shells: 130 after Ctrl-C. */
export const exitCodes = { success: 0, failure: 1, wrongUsage: 2, hungUp: 129, interrupted: 130, terminated: 143 } as const
