/** Whether numbers fit float16 before they are written in float16. */
import { inputError } from '../errors/inputError.js'

/** Above this, float16 has only infinity. */
const float16Limit = 65_520

/** @param levels what the numbers are divided by before @throws InputError for a number beyond float16's range */
export const checkFloat16 = (data: Float32Array | Float64Array, name: string, file: string, levels = 1): void => {
  if (data.some((x) => Math.abs(x) >= levels * float16Limit))
    throw inputError(file, `numbers in ${name} that float16 can hold (--precision float32 holds all)`, 'a larger one')
}
