/** Buffers that checkpoints carry beside their weights: numbers that the code of a family computes and old versions of it saved. */

/** The numbers of positions and the zeros of token types. */
export const isIdBuffer = (tensor: string): boolean => /^embeddings\.(position|token_type)_ids$/.test(tensor)

/** The frequencies of rotary position embeddings. */
export const isRotaryBuffer = (tensor: string): boolean => tensor.endsWith('.rotary_emb.inv_freq')
