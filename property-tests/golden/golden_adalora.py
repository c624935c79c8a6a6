"""AdaLoRA under PEFT, step by step: budget, threshold, mask and scores beside the losses, so that an error shows where it starts."""
import peft
import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model

from golden_lora import SAVED, TARGETS
from golden_models import draw_batches, open_model
from golden_training import STEPS, all_logits, canonical, optimization, randomize, record, train, trained, versions, well_conditioned, write

# With the first call at step 0: warm-up to 4, budgeting to 14, the last mask at 15, masked fine-tuning to 19.
SCHEDULE = dict(init_r=3, target_r=1, lora_alpha=8, tinit=4, tfinal=5, deltaT=1, beta1=0.85, beta2=0.85, orth_reg_weight=0.5, total_step=STEPS)
# Elements of the averages are kept for two matrices at these steps; the scores of all triplets, which are made of them, at every step.
AVERAGES = {'steps': (0, 14), 'modules': ('encoder.layer.0.attention.self.query', 'encoder.layer.1.output.dense')}


def build(family, base, **schedule):
    config = AdaLoraConfig(task_type='SEQ_CLS', modules_to_save=list(SAVED[family]), target_modules=TARGETS, **{**SCHEDULE, **schedule})
    model = get_peft_model(open_model(family, base, torch.float32), config)
    randomize(model, {'.A': 0.2, '.B': 0.2, '.E': 0.5})  # E is not left 0: nothing else would have a gradient
    return model


class Allocation:
    """PEFT's update_and_allocate after every step of AdamW, and what it saw and did."""

    def __init__(self, model):
        self.model, self.allocator, self.steps, self.tensors, self.mask = model, model.base_model.rankallocator, [], {}, None
        self.allocator.mask_to_budget = self.watched(self.allocator.mask_to_budget)

    def watched(self, mask_to_budget):
        def watching(model, budget):
            scores = self.scores()
            pattern = mask_to_budget(model, budget)
            threshold = torch.kthvalue(torch.cat(list(scores.values())), self.allocator.init_bgt - budget)[0].item()
            assert all(((scores[canonical(name)] > threshold).tolist()) == kept for name, kept in pattern.items())
            self.mask = {'threshold': threshold, 'mask': [''.join('01'[kept] for kept in pattern[self.parameters()[name][0]]) for name in scores]}
            ordered = torch.cat(list(scores.values())).sort().values
            k = self.allocator.init_bgt - budget
            assert sum(map(sum, pattern.values())) == budget and (ordered[k] - ordered[k - 1]) / ordered[k] > 1e-3, 'a tie: draw with another seed'
            return pattern
        return watching

    def parameters(self):
        return {canonical(name): (name, parameter) for name, parameter in self.model.base_model.model.named_parameters() if '.lora_' in name}

    def scores(self):
        """Of every triplet, by module: E's element, and the means over its row of A and its column of B."""
        element = {name: self.allocator._element_score(theirs) for name, (theirs, _) in self.parameters().items()}
        modules = [name.removesuffix('.E') for name in element if name.endswith('.E')]
        return {f'{m}.E': element[f'{m}.E'].view(-1) + element[f'{m}.A'].mean(dim=1) + element[f'{m}.B'].mean(dim=0) for m in modules}

    def after_step(self, step):
        self.mask = None
        self.model.base_model.update_and_allocate(step)
        budget, _ = self.allocator.budget_schedule(step)
        self.steps.append({'budget': budget, **(self.mask or {})})
        if self.allocator.exp_avg_ipt:
            self.tensors[f'score/{step}'] = torch.stack(list(self.scores().values())).clone()
        self.tensors[f'E/{step}'] = torch.stack([p.detach().view(-1).clone() for name, (_, p) in self.parameters().items() if name.endswith('.E')])
        if step in AVERAGES['steps']:
            for name, (theirs, _) in self.parameters().items():
                if name.rpartition('.')[0] in AVERAGES['modules']:
                    self.tensors[f'importance/{step}/{name}'] = self.allocator.exp_avg_ipt[theirs].clone()
                    self.tensors[f'uncertainty/{step}/{name}'] = self.allocator.exp_avg_unc[theirs].clone()


def orthogonality(model):
    """The mean that PEFT adds to the loss, before its weight."""
    norm = lambda matrix: torch.linalg.norm(matrix - torch.eye(len(matrix), dtype=matrix.dtype))
    terms = [norm(p @ p.T) if name.endswith('.A') else norm(p.T @ p) for name, p in trained(model).items() if name.endswith(('.A', '.B'))]
    return (sum(terms) / len(terms)).item()


def make(family, base, method):
    folder, batches, allocations = base / method, draw_batches(family), {}

    def training(model, dtype):
        allocations[dtype] = Allocation(model)
        return {'after_step': allocations[dtype].after_step}

    golden, tensors, model = record(family, batches, lambda: build(family, base), training)
    well_conditioned(tensors)
    masks = lambda dtype: [step.get('mask') for step in allocations[dtype].steps]
    assert masks('float64') == masks('float32'), 'a score at the edge of float32: draw with another seed'
    golden['float64'].update(orthogonality=orthogonality(build(family, base).to(torch.float64)), allocation=allocations['float64'].steps)
    tensors.update({f'float64/step/{name}': tensor for name, tensor in allocations['float64'].tensors.items()})
    order = [name.removesuffix('.E') for name in trained(model) if name.endswith('.E')]
    saved = {name: save(build(family, base), family, base, batches, folder / name, steps) for name, steps in (('saved-full', SCHEDULE['tinit']), ('saved-pruned', STEPS))}
    write(folder, {
        'versions': versions(peft), 'method': method, 'settings': {**SCHEDULE, **optimization()}, 'modules': order,
        **golden, 'interval': with_interval(family, base, batches), 'saved': saved,
    }, tensors)


def with_interval(family, base, batches):
    """The same run with deltaT = 3: which steps mask, and that E grows again between."""
    model = build(family, base, deltaT=3).to(torch.float64).train()
    allocation = Allocation(model)
    losses, _ = train(model, family, batches, STEPS, after_step=allocation.after_step)
    return {'deltaT': 3, 'losses': losses, 'allocation': allocation.steps, 'finalLogits': all_logits(model, family, batches[:1])}


def save(model, family, base, batches, folder, steps):
    """Before the first mask all ranks are whole; after the last the file holds what the pattern keeps."""
    train(model.train(), family, batches, steps, after_step=Allocation(model).after_step)
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder)
    return all_logits(PeftModel.from_pretrained(open_model(family, base, torch.float32), folder), family, batches)
