/** Figure 5: SaLoRA at several densities, and LoRA. */
import type { Sweep } from '../sweep.js'

export const figure5: Sweep = {
  name: 'figure5',
  summary: 'SaLoRA by density, and LoRA',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () => [
    { name: 'lora', settings: { method: 'lora' } },
    ...[0.125, 0.25, 0.375, 0.5, 0.625, 0.75].map((density) => ({
      name: `salora, b = ${density}`,
      settings: { method: 'salora' as const, density },
    })),
  ],
}
