"""Small random checkpoints, their word-level tokenizers, and batches of texts whose lengths differ."""
import json

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers.models.deberta_v2 import modeling_deberta_v2
from transformers.models.modernbert import modeling_modernbert
from transformers import (
    BertConfig, BertForSequenceClassification, DebertaV2Config, DebertaV2ForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification,
    ModernBertConfig, ModernBertForSequenceClassification, MPNetConfig, MPNetForSequenceClassification, RobertaConfig, RobertaForSequenceClassification,
    XLMRobertaConfig, XLMRobertaForSequenceClassification,
)

SEED = 20231019
CLASSES = {
    'roberta': RobertaForSequenceClassification, 'bert': BertForSequenceClassification,
    'distilbert': DistilBertForSequenceClassification, 'electra': ElectraForSequenceClassification,
    'modernbert': ModernBertForSequenceClassification, 'mpnet': MPNetForSequenceClassification, 'xlm-roberta': XLMRobertaForSequenceClassification,
    'deberta-v2': DebertaV2ForSequenceClassification, 'deberta-v2-plain': DebertaV2ForSequenceClassification,
}
SIZES = dict(
    vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=3,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
# DeBERTa takes its logits to float32 before a loss of a problem that is not named.
UNCAST = dict(problem_type='single_label_classification')
# The exact GELU in one, its tanh form in the other.
CONFIGS = {
    'roberta': lambda: RobertaConfig(**SIZES, max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5, hidden_act='gelu'),
    'bert': lambda: BertConfig(**SIZES, max_position_embeddings=32, type_vocab_size=2, layer_norm_eps=1e-12, hidden_act='gelu_new'),
    'distilbert': lambda: DistilBertConfig(
        vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64, num_labels=3, max_position_embeddings=32, dropout=0.0, attention_dropout=0.0,
        seq_classif_dropout=0.0),
    # its embeddings are of another size than its hidden states
    'electra': lambda: ElectraConfig(**SIZES, embedding_size=16, max_position_embeddings=32, type_vocab_size=2, layer_norm_eps=1e-12),
    'mpnet': lambda: MPNetConfig(**SIZES, max_position_embeddings=34, layer_norm_eps=1e-5, relative_attention_num_buckets=32),
    'xlm-roberta': lambda: XLMRobertaConfig(**SIZES, max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5),
    # as v3 has it: one table of distances in buckets, mapped as queries and keys are
    'deberta-v2': lambda: DebertaV2Config(
        **SIZES, **UNCAST, max_position_embeddings=32, type_vocab_size=0, relative_attention=True, position_biased_input=False, pos_att_type=['p2c', 'c2p'],
        share_att_key=True, position_buckets=6, norm_rel_ebd='layer_norm', pooler_hidden_size=32),
    # separate matrices for relative positions, which are distinct up to 5, beside positions and token types
    'deberta-v2-plain': lambda: DebertaV2Config(
        **SIZES, **UNCAST, max_position_embeddings=32, type_vocab_size=2, relative_attention=True, max_relative_positions=5, pos_att_type=['c2p', 'p2c'],
        hidden_act='gelu_new', pooler_hidden_size=32),
    # four layers, so that two reach everywhere and two a window of three tokens to either side
    'modernbert': lambda: ModernBertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=24, num_labels=3, max_position_embeddings=64,
        local_attention=6, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
}
SPECIALS = {
    **{family: ['<s>', '<pad>', '</s>', '<unk>'] for family in ('roberta', 'mpnet', 'xlm-roberta')},
    **{family: ['[PAD]', '[UNK]', '[CLS]', '[SEP]'] for family in ('bert', 'distilbert', 'electra', 'modernbert', 'deberta-v2', 'deberta-v2-plain')},
}
TOKENIZERS = {
    'roberta': 'RobertaTokenizer', 'bert': 'BertTokenizer', 'distilbert': 'DistilBertTokenizer', 'electra': 'ElectraTokenizer',
    'modernbert': 'PreTrainedTokenizerFast', 'mpnet': 'MPNetTokenizer', 'xlm-roberta': 'XLMRobertaTokenizer',
    'deberta-v2': 'DebertaV2Tokenizer', 'deberta-v2-plain': 'DebertaV2Tokenizer',
}

# Words of each text of a pair; 0 is no second text. Batches hold four examples.
LENGTHS = [[(7, 0), (3, 5), (12, 4), (1, 0)], [(4, 0), (4, 0), (2, 9), (6, 1)], [(15, 0), (1, 1), (3, 0), (5, 5)], [(2, 0), (8, 0), (9, 2), (4, 3)]]


def normal(name, shape, deviation):
    """Independent of the order in which tensors are drawn."""
    generator = torch.Generator().manual_seed(SEED + sum(ord(letter) * 31 ** (i % 5) for i, letter in enumerate(name)))
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * deviation).to(torch.float32)


def write_model(family, folder):
    """Activations of about 1, so that no softmax is flat and none saturates."""
    model = CLASSES[family](CONFIGS[family]())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            deviation = 0.5 if 'embeddings' in name or 'attention_bias' in name else 1 / parameter.shape[1] ** 0.5 if parameter.dim() > 1 else 0.2
            value = normal(name, parameter.shape, deviation)
            parameter.copy_(1 + value if name.lower().replace('_', '').endswith('norm.weight') else value)
    model.save_pretrained(folder)
    tokenizer(family).save(str(folder / 'tokenizer.json'))
    (folder / 'tokenizer_config.json').write_text(json.dumps({'tokenizer_class': TOKENIZERS[family]}) + '\n')


def in_float64(family):
    """ModernBERT's formulas of rotation and softmax and DeBERTa's of its scale, without their casts to float32."""
    if family not in ('modernbert', 'deberta-v2', 'deberta-v2-plain'):
        return
    library_softmax, library_rotation = torch.nn.functional.softmax, modeling_modernbert.ModernBertRotaryEmbedding.forward

    def rotation(self, x, position_ids, layer_type):
        if x.dtype == torch.float32:
            return library_rotation(self, x, position_ids, layer_type)
        size = self.config.hidden_size // self.config.num_attention_heads
        base = self.config.rope_parameters[layer_type]['rope_theta']
        angles = position_ids[:, :, None].to(x.dtype) / base ** (torch.arange(0, size, 2, dtype=x.dtype) / size)
        both = torch.cat((angles, angles), dim=-1)
        return both.cos(), both.sin()

    def turned(q, k, cos, sin, unsqueeze_dim=1):
        cos, sin, half = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim), modeling_modernbert.rotate_half
        return q * cos + half(q) * sin, k * cos + half(k) * sin

    torch.nn.functional.softmax = lambda x, dim=None, dtype=None: library_softmax(x, dim=dim, dtype=x.dtype if x.dtype == torch.float64 else dtype)
    modeling_modernbert.ModernBertRotaryEmbedding.forward = rotation
    modeling_modernbert.apply_rotary_pos_emb = turned
    modeling_deberta_v2.scaled_size_sqrt = lambda query, parts: torch.sqrt(torch.tensor(query.size(-1) * parts, dtype=torch.float64))


def open_model(family, folder, dtype):
    return CLASSES[family].from_pretrained(folder, attn_implementation='eager').to(dtype).eval()


def deberta_parts():
    cleaned = normalizers.Sequence([normalizers.Replace(Regex(r'\s{2,}|[\n\r\t]'), ' '), normalizers.NFC(), normalizers.Strip(left=False, right=True)])
    return cleaned, pre_tokenizers.Sequence([pre_tokenizers.Metaspace(replacement='▁', prepend_scheme='always')])


# Normalizer and pre-tokenizer of families that have a unigram model, as transformers makes them.
UNIGRAM = {
    'xlm-roberta': lambda: (None, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement='▁', prepend_scheme='always')])),
    'deberta-v2': deberta_parts, 'deberta-v2-plain': deberta_parts,
}


def tokenizer(family):
    specials = SPECIALS[family]
    words = [f'w{i}' for i in range(len(specials), SIZES['vocab_size'])]
    unknown = specials[3 if '<unk>' in specials else 1]
    if family in UNIGRAM:
        # pieces with the mark of a word's beginning, the earlier the likelier
        scored = [(word, 0.0) for word in specials] + [(f'▁{word}', -1 - i / 64) for i, word in enumerate(words)]
        made = Tokenizer(models.Unigram(scored, unk_id=specials.index(unknown), byte_fallback=False))
        made.normalizer, made.pre_tokenizer = UNIGRAM[family]()
    else:
        made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(specials + words)}, unk_token=unknown))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(specials)
    made.post_processor = (
        processors.RobertaProcessing(('</s>', 2), ('<s>', 0), False, False) if '<unk>' in specials
        else processors.TemplateProcessing(single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1', special_tokens=[('[CLS]', 2), ('[SEP]', 3)]))
    return made


def draw_batches(family):
    generator = torch.Generator().manual_seed(SEED)
    encode = tokenizer(family).encode
    words = lambda count: ' '.join(f'w{i}' for i in torch.randint(4, SIZES['vocab_size'], (count,), generator=generator).tolist())
    batches = []
    for lengths in LENGTHS:
        texts = [[words(first)] + ([words(second)] if second else []) for first, second in lengths]
        encoded = [encode(*pair) for pair in texts]
        batches.append({
            'texts': texts, 'inputIds': [e.ids for e in encoded], 'tokenTypeIds': [e.type_ids for e in encoded],
            'labels': torch.randint(0, SIZES['num_labels'], (len(texts),), generator=generator).tolist(),
        })
    return batches


def padded(family, batch):
    """What transformers wants: rows of one length and a mask."""
    padding = SPECIALS[family].index('<pad>' if '<pad>' in SPECIALS[family] else '[PAD]')
    width = max(map(len, batch['inputIds']))
    pad = lambda rows, value: torch.tensor([row + [value] * (width - len(row)) for row in rows])
    inputs = {'input_ids': pad(batch['inputIds'], padding), 'attention_mask': pad([[1] * len(row) for row in batch['inputIds']], 0)}
    return inputs if family in ('roberta', 'distilbert', 'modernbert', 'mpnet', 'xlm-roberta', 'deberta-v2') else inputs | {'token_type_ids': pad(batch['tokenTypeIds'], 0)}
