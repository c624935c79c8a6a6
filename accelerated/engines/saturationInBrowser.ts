/** saturation.ts in a browser: WebAssembly's kernels widen bytes to 16 bits before they multiply, so no product saturates on any processor. */
export const productsSaturate = async (): Promise<boolean> => false
