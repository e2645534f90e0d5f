//! Whether the fields that a definition declares can have values.

use crate::field::{self, FieldDeclaration, LONGEST_VALUE};
use crate::refusal::{Refusal, RefusalCode};

const MOST_FIELDS: usize = 32;

pub(super) type List = Vec<FieldDeclaration>;

/// Checks the fields and brings their values and defaults into normal shape.
///
/// A faulty declaration is replaced by the plain one of its name, so that the format can still be checked.
pub(super) fn checked(scope: List, fields: List, refusals: &mut Vec<Refusal>) -> (List, List) {
    let mut known = Vec::new();
    let mut check = |list: &str, declarations: List| -> List {
        if declarations.len() > MOST_FIELDS {
            let detail = format!(
                "a definition has at most {MOST_FIELDS} names here, not {}",
                declarations.len()
            );
            refusals.push(Refusal::new(
                RefusalCode::InvalidValue,
                format!("/{list}"),
                detail,
            ));
        }
        let mut shaped = Vec::new();
        for (index, declaration) in declarations.into_iter().take(MOST_FIELDS).enumerate() {
            let pointer = format!("/{list}/{index}");
            if known.contains(&declaration.name) {
                let detail = format!("{:?} is declared twice", declaration.name);
                refusals.push(Refusal::new(RefusalCode::InvalidValue, pointer, detail));
                continue;
            }
            known.push(declaration.name.clone());
            let declaration = shape(declaration);
            let faults = faults(&declaration, &pointer);
            shaped.push(if faults.is_empty() {
                declaration
            } else {
                FieldDeclaration::new(&declaration.name)
            });
            refusals.extend(faults);
        }
        shaped
    };
    (check("scope", scope), check("fields", fields))
}

fn shape(mut declaration: FieldDeclaration) -> FieldDeclaration {
    if declaration.pad.is_some_and(|pad| pad > LONGEST_VALUE) {
        return declaration;
    }
    declaration.values = declaration
        .values
        .iter()
        .map(|value| declaration.shaped(value))
        .collect();
    declaration.default = declaration
        .default
        .as_deref()
        .map(|value| declaration.shaped(value));
    declaration
}

fn faults(declaration: &FieldDeclaration, pointer: &str) -> Vec<Refusal> {
    let mut faults = Faults {
        pointer,
        refusals: Vec::new(),
    };
    faults.of_name(&declaration.name);
    faults.of_lengths(declaration);
    faults.of_values(declaration);
    faults.refusals
}

struct Faults<'a> {
    pointer: &'a str,
    refusals: Vec<Refusal>,
}

impl Faults<'_> {
    fn refuse(&mut self, code: RefusalCode, member: &str, detail: String) {
        self.refusals
            .push(Refusal::new(code, format!("{}{member}", self.pointer), detail));
    }

    fn invalid(&mut self, member: &str, detail: String) {
        self.refuse(RefusalCode::InvalidValue, member, detail);
    }

    fn of_name(&mut self, name: &str) {
        if field::is_reserved(name) {
            let detail = format!("{name:?} is a word of the template language; choose another name");
            self.refuse(RefusalCode::ReservedName, "", detail);
        } else if !field::is_name(name) {
            let detail = format!(
                "{name:?} is not a name: a lower-case letter, then at most 31 lower-case letters, digits and '_'"
            );
            self.invalid("", detail);
        }
    }

    fn of_lengths(&mut self, declaration: &FieldDeclaration) {
        let FieldDeclaration {
            name,
            min,
            max,
            pad,
            chars,
            ..
        } = declaration;
        if *max == 0 || *max > LONGEST_VALUE {
            self.invalid(
                "/max",
                format!("values of {name:?} may have 1 to {LONGEST_VALUE} characters, not {max}"),
            );
        } else if min > max {
            self.invalid(
                "/min",
                format!("no value of {name:?} has at least {min} and at most {max} characters"),
            );
        }
        if pad.is_some_and(|pad| pad > *max) {
            self.invalid(
                "/pad",
                format!("values of {name:?} have at most {max} characters and cannot be padded to more"),
            );
        }
        if pad.is_some_and(|pad| pad > 0) && !chars.contains('0') {
            self.invalid(
                "/pad",
                format!("{name:?} is padded with 0, which {chars} does not have"),
            );
        }
        if declaration.alphabet().is_empty() && *max > 0 {
            self.invalid(
                "/chars",
                format!("no value of {name:?} can have the declared case with the characters {chars}"),
            );
        }
    }

    fn of_values(&mut self, declaration: &FieldDeclaration) {
        let unlisted = FieldDeclaration {
            values: Vec::new(),
            ..declaration.clone()
        };
        for (index, value) in declaration.values.iter().enumerate() {
            if let Err(refused) = unlisted.allows(value) {
                self.invalid(&format!("/values/{index}"), refused.to_string());
            }
        }
        if let Some(Err(refused)) = declaration
            .default
            .as_deref()
            .map(|value| declaration.allows(value))
        {
            self.invalid("/default", refused.to_string());
        }
    }
}
