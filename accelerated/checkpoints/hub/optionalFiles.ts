/**
 * Files beside config.json, tokenizer.json and the weights. They are read where a model of the hub has them. Newer models have their chat template
 * only in the third, and the token that ends a turn only in the fourth.
 */
export const optionalFiles = ['tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja', 'generation_config.json'] as const
