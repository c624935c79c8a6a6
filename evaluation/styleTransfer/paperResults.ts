/** Rows of the paper's Table 2: ACC, BLEU and PPL from style 0 and from style 1. */

export type Published = { readonly method: string; readonly scores: Readonly<Record<string, readonly [Triple, Triple]>> }
type Triple = readonly [accuracy: number, bleu: number, perplexity: number]

/** The paper's row of LLaMA-7B without an adapter is the unchanged input: its BLEU is that of the sources, digit by digit. */
export const published: ReadonlyArray<Published> = [
  row('Reference', [64.6, 100, 102.62], [93.8, 100, 77.53], [88.44, 100, 66.86], [87.63, 100, 105.28]),
  row('StyTrans', [88.4, 25.85, 173.35], [94.2, 24.9, 141.88], [32.81, 54.91, 144.15], [80.86, 27.69, 201.78]),
  row('StyIns', [92.4, 25.98, 116.01], [89.6, 26.08, 105.79], [54.73, 60.87, 96.53], [80.57, 30.25, 132.54]),
  row('TSST', [91.2, 28.95, 112.86], [94.4, 28.83, 101.92], [65.62, 61.83, 87.04], [85.87, 33.54, 128.78]),
  row('LLaMA-7B', [2.2, 33.58, 208.69], [0.8, 31.12, 156.14], [12.01, 60.18, 189.78], [7.75, 34.61, 145.43]),
  row('LLaMA-7B, LoRA', [71, 25.96, 82.2], [92.8, 31.83, 83.03], [89.34, 61.06, 68.52], [34.45, 41.59, 82.96]),
  row('LLaMA-7B, SaLoRA', [73.2, 24.76, 76.49], [94.6, 31.96, 87.41], [89.63, 61.76, 67.53], [39.04, 40.91, 79.54]),
]

function row(method: string, ...[negative, positive, informal, formal]: readonly [Triple, Triple, Triple, Triple]): Published {
  return { method, scores: { yelp: [negative, positive], gyafc: [informal, formal] } }
}
