//! What is on the wire stays there: `fields.txt` has every field and call that was ever published.
//!
//! `SEQID_WRITE_PROTO=1 cargo test -p seqid-proto` adds what is new to it. Nothing takes a line out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto};

#[test]
fn no_field_and_no_call_is_removed_renumbered_or_retyped() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fields.txt");
    let published = fs::read_to_string(&path).unwrap_or_default();
    let mut published: BTreeSet<String> = published.lines().map(str::to_owned).collect();
    let declared = declared();
    let gone: Vec<_> = published.difference(&declared).collect();
    assert!(gone.is_empty(), "clients may rely on {gone:#?}");
    if std::env::var_os("SEQID_WRITE_PROTO").is_some() {
        published.clone_from(&declared);
        let lines: Vec<_> = published.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, lines.concat()).unwrap();
    }
    let new: Vec<_> = declared.difference(&published).collect();
    assert!(
        new.is_empty(),
        "not held yet: SEQID_WRITE_PROTO=1 cargo test -p seqid-proto adds {new:#?}"
    );
}

#[test]
fn every_message_field_and_call_is_documented() {
    let set = FileDescriptorSet::decode(seqid_proto::FILE_DESCRIPTOR_SET).unwrap();
    for file in &set.file {
        let commented: BTreeSet<&[i32]> = file
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .filter(|location| location.leading_comments.is_some())
            .map(|location| location.path.as_slice())
            .collect();
        let documented = |path: &[usize], name: &str| {
            let path: Vec<i32> = path.iter().map(|part| i32::try_from(*part).unwrap()).collect();
            assert!(commented.contains(path.as_slice()), "{name} is not documented");
        };
        for (m, message) in file.message_type.iter().enumerate() {
            documented(&[4, m], message.name());
            for (f, field) in message.field.iter().enumerate() {
                documented(&[4, m, 2, f], &format!("{}.{}", message.name(), field.name()));
            }
        }
        for (s, service) in file.service.iter().enumerate() {
            documented(&[6, s], service.name());
            for (m, method) in service.method.iter().enumerate() {
                documented(&[6, s, 2, m], method.name());
            }
        }
    }
}

#[test]
fn fields_of_our_own_begin_at_16_in_messages_of_the_first_service() {
    let theirs = [
        ("GetNextRequest", 3),
        ("GetNextResponse", 5),
        ("GetNextBatchRequest", 4),
        ("GetNextBatchResponse", 7),
        ("ResetCounterRequest", 5),
        ("ResetCounterResponse", 4),
        ("GetStatusRequest", 1),
        ("GetStatusResponse", 5),
    ];
    let set = FileDescriptorSet::decode(seqid_proto::FILE_DESCRIPTOR_SET).unwrap();
    let messages: Vec<_> = set.file.iter().flat_map(|file| &file.message_type).collect();
    for (name, last) in theirs {
        let message = messages.iter().find(|message| message.name() == name).unwrap();
        for field in &message.field {
            let number = field.number();
            assert!(number <= last || number >= 16, "{name}.{}", field.name());
        }
    }
}

/// Everything that is declared, a line each.
fn declared() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(seqid_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut lines = BTreeSet::new();
    for file in &set.file {
        for message in &file.message_type {
            fields(
                &format!(".{}.{}", file.package(), message.name()),
                message,
                &mut lines,
            );
        }
        for service in &file.service {
            let call = |method| call(&format!(".{}.{}", file.package(), service.name()), method);
            lines.extend(service.method.iter().map(call));
        }
    }
    lines
}

fn fields(name: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    lines.extend(message.field.iter().map(|field| line(name, message, field)));
    for nested in &message.nested_type {
        fields(&format!("{name}.{}", nested.name()), nested, lines);
    }
}

fn line(message: &str, of: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::Message => field.type_name().to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let label = match (field.label(), field.oneof_index) {
        (Label::Repeated, _) => "repeated ".to_owned(),
        (_, Some(_)) if field.proto3_optional() => "optional ".to_owned(),
        (_, Some(at)) => format!("oneof {} ", of.oneof_decl[usize::try_from(at).unwrap()].name()),
        _ => String::new(),
    };
    format!("{message} {:03} {label}{kind} {}", field.number(), field.name())
}

fn call(service: &str, method: &MethodDescriptorProto) -> String {
    let stream = |streaming| if streaming { "stream " } else { "" };
    format!(
        "{service}/{} {}{} -> {}{}",
        method.name(),
        stream(method.client_streaming()),
        method.input_type(),
        stream(method.server_streaming()),
        method.output_type()
    )
}
