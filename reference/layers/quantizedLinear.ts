/**
 * Linear layers on an int8 matrix: SwitchBack (Wortsman et al., 2023) without its third product, which a frozen matrix has no use for. One
 * quantized matrix serves both directions. Its other factor is rounded to 255 levels per row.
 */
import { matMul } from '../tensor/matMul.js'
import { addRow, generate, map, matrixShape, multiplyColumn, multiplyRow, type Tensor } from '../tensor/tensor.js'
import type { FrozenLinear } from './linear.js'

/** x ≈ diag(scales) levels. levels: [n, m], whole numbers from −127 to 127; scales: [n] */
export interface Quantized {
  readonly levels: Tensor
  readonly scales: Tensor
}

/** The largest level: 127 on either side of 0, so that −x has the levels of x with their signs changed. */
export const largestLevel = 127

/** To the nearest whole number, half-way to the even one, as IEEE 754 and ONNX round. */
export const roundHalfEven = (x: number): number => {
  const below = Math.floor(x)
  const rest = x - below
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1
  return below % 2 === 0 ? below : below + 1
}

/** Quantizes each row by its largest magnitude: scale = max |x| / 127, level = round(x / scale). A row of zeros has scale 0. x: [n, m] */
export const quantizeRows = (x: Tensor): Quantized => {
  const [n, m] = matrixShape('quantizeRows', x)
  const scales = generate([n], (row) => Math.max(...map(Math.abs)(x).data.subarray(row * m, (row + 1) * m)) / largestLevel)
  const findScale = (index: number): number => scales.data[Math.floor(index / m)]!
  return { levels: generate(x.shape, (i) => (findScale(i) === 0 ? 0 : roundHalfEven(x.data[i]! / findScale(i)))), scales }
}

/** How a matrix is taken to levels and scales. */
export type Rounding = (x: Tensor) => Quantized

/** diag(scales) levels → [n, m] */
export const dequantize = ({ levels, scales }: Quantized): Tensor => multiplyColumn(levels, scales)

/** x rounded to the levels of its rows. [n, m] → [n, m] */
export const roundRows = (x: Tensor): Tensor => dequantize(quantizeRows(x))

/** y = (round(x) levelsᵀ) ⊙ scales + bias. x: [n, in], weight: levels [out, in] and scales [out], bias: [out] → [n, out] */
export const quantizedLinear = (x: Tensor, { levels, scales }: Quantized, bias?: Tensor, round: Rounding = quantizeRows): Tensor => {
  const product = multiplyRow(matMul(dequantize(round(x)), levels, { transposeY: true }), scales)
  return bias === undefined ? product : addRow(product, bias)
}

/**
 * x̄ = round(ȳ ⊙ scales) levels: the gradient of the quantized function with the rounding of x passed straight through, where ȳ ⊙ scales is
 * rounded as x was. yBar: [n, out] → [n, in]
 */
export const quantizedLinearInputVjp = ({ levels, scales }: Quantized, yBar: Tensor, round: Rounding = quantizeRows): Tensor =>
  matMul(dequantize(round(multiplyRow(yBar, scales))), levels)

/**
 * Frozen layers in int8. `rounding` says how each matrix is rounded: MODULE.weight, MODULE.x (what a layer is given) and MODULE.yBar (the
 * gradient that comes back to it, times the scales); by default to the nearest levels.
 */
export const int8Linear = (rounding: (name: string) => Rounding = () => quantizeRows): FrozenLinear => ({
  value: (module, x, weight, bias) => quantizedLinear(x, rounding(`${module}.weight`)(weight), bias, rounding(`${module}.x`)),
  inputVjp: (module, weight, yBar) => quantizedLinearInputVjp(rounding(`${module}.weight`)(weight), yBar, rounding(`${module}.yBar`)),
})
