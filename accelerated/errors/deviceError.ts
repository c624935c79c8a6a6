/** A device or the runtime below it that does not work here: its message is the one line to show. */
export class DeviceError extends Error {}
