/** Table 3: SaLoRA without the density constraint (λ = 0), and without the orthogonality term (β = 0). */
import type { Sweep } from '../sweep.js'

export const table3: Sweep = {
  name: 'table3',
  summary: 'the ablations λ = 0 and β = 0',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () => [
    { name: 'salora', settings: { method: 'salora' } },
    { name: 'salora, λ = 0', settings: { method: 'salora', control: 'free', retain: 'paper' } },
    { name: 'salora, β = 0', settings: { method: 'salora', beta: 0 } },
  ],
}
