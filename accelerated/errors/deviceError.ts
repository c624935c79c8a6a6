/** A device, or its runtime, that does not work here. Its message is one line. */
export class DeviceError extends Error {}
