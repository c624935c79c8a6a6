/** A tokenizer.json of LLaMA 2's kind with the merges that SentencePiece's scores give: every pair of tokens whose text is a token, token by token. */
type Json = { readonly model: object; readonly [part: string]: unknown }

export const withAllMerges = (tokenizer: Json): Json => {
  const { vocab } = tokenizer.model as { readonly vocab: Readonly<Record<string, number>> }
  const merges = Object.entries(vocab)
    .sort(([, a], [, b]) => a - b)
    .filter(([token]) => !/^<.*>$/.test(token))
    .flatMap(([token]) =>
      Array.from({ length: token.length - 1 }, (_, i) => [token.slice(0, i + 1), token.slice(i + 1)]).filter((pair) =>
        pair.every((part) => Object.hasOwn(vocab, part)),
      ),
    )
  return { ...tokenizer, model: { ...tokenizer.model, merges } }
}
