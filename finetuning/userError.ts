/** A mistake in what the user gave: its message is the one line to show. */
export class UserError extends Error {}
