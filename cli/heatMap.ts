/** The ranks that training found, layers down and matrices across; on a terminal each cell's shade is its share of the largest rank. */
import { Chalk } from 'chalk'

const columns = [
  'attention.self.query',
  'attention.self.key',
  'attention.self.value',
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
  'attention.q_lin',
  'attention.k_lin',
  'attention.v_lin',
  'attention.out_lin',
  'ffn.lin1',
  'ffn.lin2',
  'attention.attn.q',
  'attention.attn.k',
  'attention.attn.v',
  'attention.attn.o',
  'attn.Wqkv',
  'attn.Wo',
  'mlp.Wi',
  'mlp.Wo',
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
] as const
const titles: Readonly<Record<string, string>> = {
  'attention.self.query': 'query',
  'attention.self.key': 'key',
  'attention.self.value': 'value',
  'attention.output.dense': 'attention output',
  'intermediate.dense': 'intermediate',
  'output.dense': 'output',
  'attention.q_lin': 'query',
  'attention.k_lin': 'key',
  'attention.v_lin': 'value',
  'attention.out_lin': 'attention output',
  'ffn.lin1': 'intermediate',
  'ffn.lin2': 'output',
  'attention.attn.q': 'q',
  'attention.attn.k': 'k',
  'attention.attn.v': 'v',
  'attention.attn.o': 'o',
  'attn.Wqkv': 'Wqkv',
  'attn.Wo': 'attention Wo',
  'mlp.Wi': 'Wi',
  'mlp.Wo': 'Wo',
  'self_attn.q_proj': 'q',
  'self_attn.k_proj': 'k',
  'self_attn.v_proj': 'v',
  'self_attn.o_proj': 'o',
  'mlp.gate_proj': 'gate',
  'mlp.up_proj': 'up',
  'mlp.down_proj': 'down',
}

/** xterm's 256 colours, dark to bright. */
const shades = [16, 17, 18, 19, 25, 31, 37, 43, 49, 48, 47, 46] as const

/** Lines of the map; a matrix that was not adapted shows a dot. */
export const heatMap = (ranks: Readonly<Record<string, number>>, { colour }: { readonly colour: boolean }): ReadonlyArray<string> => {
  const cells = Object.entries(ranks).map(([name, rank]) => ({ ...placeOf(name), rank }))
  const layers = [...new Set(cells.map(({ layer }) => layer))].sort((a, b) => a - b)
  const present = columns.filter((column) => cells.some((cell) => cell.column === column))
  const largest = Math.max(1, ...Object.values(ranks))
  const chalk = new Chalk({ level: colour ? 2 : 0 })
  const width = (column: string): number => Math.max((titles[column] ?? column).length, String(largest).length)
  const shown = (rank: number | undefined, column: string): string => {
    const text = (rank === undefined ? '·' : String(rank)).padStart(width(column))
    if (rank === undefined || !colour) return text
    const shade = shades[Math.round((rank / largest) * (shades.length - 1))] ?? 16
    return (shade >= 37 ? chalk.black : chalk.white).bgAnsi256(shade)(text)
  }
  return [
    `layer  ${present.map((column) => (titles[column] ?? column).padStart(width(column))).join('  ')}`,
    ...layers.map(
      (layer) =>
        `${String(layer).padStart(5)}  ${present.map((column) => shown(cells.find((cell) => cell.layer === layer && cell.column === column)?.rank, column)).join('  ')}`,
    ),
  ]
}

const placeOf = (name: string): { readonly layer: number; readonly column: string } => {
  const [, layer = '', column = ''] = /^(?:encoder\.layer|transformer\.layer|layers)\.(\d+)\.(.*)$/.exec(name) ?? []
  return { layer: Number(layer), column }
}
