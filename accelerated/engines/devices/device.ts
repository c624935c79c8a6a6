/** A device: which ONNX Runtime execution provider it is, what its graphs may contain, how exact it is, how to get it. */
import type { FloatType } from '../../graph/expression.js'
import type { OnnxTarget } from '../../graph/onnx.js'

/** How far results may lie from the reference, as a share of the largest |reference| of a tensor, and why that far. */
export type Tolerance = { readonly relative: number; readonly because: string }

export type Device = {
  /** what --device says */
  readonly name: string
  readonly target: OnnxTarget
  /** the provider by ONNX Runtime's name for it, with its options */
  readonly provider: { readonly name: string } & Readonly<Record<string, unknown>>
  /** what it computes in */
  readonly tolerances: Readonly<Partial<Record<FloatType | 'float16', Tolerance>>>
  /** a library, without prefix and ending, that must lie beside ONNX Runtime's: it lists such a provider whether or not it is there */
  readonly library?: string
  /** what to do where it does not work; `<onnxruntime-node>` stands for that package's folder, wherever it is installed */
  readonly remedy: string
  /** `auto` takes the device with the largest number that works; null: it must be asked for */
  readonly automatic: number | null
  /** results can be written into memory that the caller gives */
  readonly preallocatedOutputs: boolean
}
