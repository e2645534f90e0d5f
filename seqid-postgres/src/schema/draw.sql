-- Numbers for whoever speaks SQL: `seqid.next` and `seqid.draw`, each within its caller's transaction. They do what a plain draw
-- of one number does in `seqid_core::ledger`, and refuse everything else. docs/sql.md is for who calls them.
--
-- Whatever depends on settings of a session (how dates are printed, its time zone, whether `\` escapes) is avoided here.

-- Refuses a draw: an error with a code of docs/sql.md in its message, and what to do about it.
CREATE FUNCTION seqid.refuse(code text, reason text, advice text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = CASE code
            WHEN 'invalid-request' THEN 'SQ001'
            WHEN 'scope-mismatch' THEN 'SQ002'
            WHEN 'date-out-of-window' THEN 'SQ003'
            WHEN 'sequence-not-found' THEN 'SQ004'
            WHEN 'case-variant' THEN 'SQ005'
            WHEN 'sequence-archived' THEN 'SQ006'
            WHEN 'period-closed' THEN 'SQ007'
            WHEN 'date-before-last' THEN 'SQ008'
            WHEN 'exhausted' THEN 'SQ009'
            WHEN 'frozen' THEN 'SQ010'
            WHEN 'idempotency-mismatch' THEN 'SQ011'
            WHEN 'not-in-sql' THEN 'SQ012'
            WHEN 'wrong-isolation' THEN 'SQ013'
        END,
        MESSAGE = format('%s: %s', code, reason),
        HINT = advice;
END
$$;

-- The group whose lock a draw of this prefix shares: `group` of batch.rs.
CREATE FUNCTION seqid.sequence_group(prefix text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT (sum(get_byte(folded, place)) % 64)::integer
    FROM convert_to(lower(prefix COLLATE "C"), 'UTF8') folded, generate_series(0, length(folded) - 1) place
$$;

-- Whether a text has other characters than those of ASCII.
CREATE FUNCTION seqid.is_wide(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT octet_length(value) <> char_length(value)
$$;

-- Refuses a text, unless it is NULL, that is empty, too long or has characters that are not of `pattern`.
CREATE FUNCTION seqid.require_text(argument text, value text, most integer, pattern text, allowed text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF char_length(value) NOT BETWEEN 1 AND most OR value COLLATE "C" !~ pattern THEN
        PERFORM seqid.refuse('invalid-request', format('%s => %L is not 1 to %s %s', argument, value, most, allowed),
                             'Correct the argument.');
    END IF;
END
$$;

-- The values of an argument as texts, as they were sent; integers may be sent as numbers.
CREATE FUNCTION seqid.sent_values(argument text, sent jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    one    record;
    texts  jsonb := '{}';
BEGIN
    IF sent IS NULL OR sent = '{}' THEN
        RETURN texts;
    END IF;
    IF jsonb_typeof(sent) <> 'object' THEN
        PERFORM seqid.refuse('invalid-request', format('%s is not a JSON object', argument),
                             format('Send it as %s => ''{"name":"value"}''.', argument));
    END IF;
    FOR one IN SELECT s.key, s.value, s.value #>> '{}' AS text FROM jsonb_each(sent) s LOOP
        IF jsonb_typeof(one.value) = 'string'
           OR jsonb_typeof(one.value) = 'number' AND one.text ~ '^-?[0-9]{1,20}$' THEN
            texts := texts || jsonb_build_object(one.key, one.text);
        ELSE
            PERFORM seqid.refuse('invalid-request',
                                 format('%s of %s is neither a text nor an integer', quote_ident(one.key), argument),
                                 'Send it as a text.');
        END IF;
    END LOOP;
    RETURN texts;
END
$$;

-- The canonical text of values: `FieldValues` of the core.
CREATE FUNCTION seqid.values_text(named jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(
               replace(replace(replace(v.key, '%', '%25'), '&', '%26'), '=', '%3D') || '=' ||
               replace(replace(replace(v.value, '%', '%25'), '&', '%26'), '=', '%3D'),
               '&' ORDER BY v.key COLLATE "C"), '')
    FROM jsonb_each_text(named) v
$$;

-- The values of a canonical text.
CREATE FUNCTION seqid.values_of(canonical text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(
               replace(replace(replace(split_part(pair, '=', 1), '%3D', '='), '%26', '&'), '%25', '%'),
               replace(replace(replace(split_part(pair, '=', 2), '%3D', '='), '%26', '&'), '%25', '%')), '{}')
    FROM unnest(string_to_array(nullif(canonical, ''), '&')) pair
$$;

-- The value of a declared field: the default where none was sent, composed, in its case, padded. `refused` is NULL where it
-- is allowed.
CREATE FUNCTION seqid.field_value(field jsonb, sent text, OUT value text, OUT refused text, OUT reason text)
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text := quote_ident(field ->> 'name');
BEGIN
    value := coalesce(sent, field ->> 'default');
    refused := 'scope-mismatch';
    IF value IS NULL THEN
        reason := format('%s has no value and no default', name);
        RETURN;
    END IF;
    IF seqid.is_wide(value) THEN
        value := normalize(value, NFC);
        IF field ->> 'case' IS NOT NULL THEN
            refused := 'not-in-sql';
            reason := format('%s changes the case of its values, and %L has characters that are not of ASCII', name, value);
            RETURN;
        END IF;
    END IF;
    value := CASE field ->> 'case' WHEN 'upper' THEN upper(value COLLATE "C") WHEN 'lower' THEN lower(value COLLATE "C")
                                   ELSE value END;
    value := repeat('0', coalesce((field ->> 'pad')::integer, 0) - char_length(value)) || value;
    IF char_length(value) NOT BETWEEN (field ->> 'min')::integer AND (field ->> 'max')::integer THEN
        reason := format('%s must have %s to %s characters, has %s', name, field ->> 'min', field ->> 'max', char_length(value));
    ELSIF value COLLATE "C" !~ (field ->> 'pattern') THEN
        reason := format('%s must not contain all of the characters of %L', name, value);
    ELSIF jsonb_array_length(field -> 'values') > 0 AND NOT field -> 'values' ? value THEN
        reason := format('%L is not one of the values of %s', value, name);
    ELSE
        refused := NULL;
    END IF;
END
$$;

-- The values of all declared fields, of texts that were sent.
CREATE FUNCTION seqid.field_values(declared jsonb, sent jsonb, OUT named jsonb, OUT refused text, OUT reason text)
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    field jsonb;
    one   record;
    other text;
BEGIN
    named := '{}';
    IF sent <> '{}' THEN
        SELECT s INTO other FROM jsonb_object_keys(sent) s
        WHERE NOT EXISTS (SELECT 1 FROM jsonb_array_elements(declared) d WHERE d ->> 'name' = s)
        ORDER BY s COLLATE "C" LIMIT 1;
        IF other IS NOT NULL THEN
            refused := 'scope-mismatch';
            reason := format('%s is not declared', quote_ident(other));
            RETURN;
        END IF;
    END IF;
    FOR field IN SELECT d FROM jsonb_array_elements(declared) d LOOP
        one := seqid.field_value(field, sent ->> (field ->> 'name'));
        IF one.refused IS NOT NULL THEN
            refused := one.refused;
            reason := one.reason;
            RETURN;
        END IF;
        named := named || jsonb_build_object(field ->> 'name', one.value);
    END LOOP;
END
$$;

-- A number with zeros in front.
CREATE FUNCTION seqid.padded(digits text, width integer, zero text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT repeat(zero, width - char_length(digits)) || digits
$$;

-- A day of a year's month, both of which may run over; the last of a month that is too short. Within the years 1 to 9999.
CREATE FUNCTION seqid.clipped_date(year integer, month integer, day integer) RETURNS date LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    first date;
BEGIN
    year := year + (month - 1) / 12;
    month := (month - 1) % 12 + 1;
    IF year NOT BETWEEN 1 AND 9999 THEN
        RETURN CASE WHEN year < 1 THEN make_date(1, 1, 1) ELSE make_date(9999, 12, 31) END;
    END IF;
    first := make_date(year, month, 1);
    RETURN least(first + (day - 1), (first + interval '1 month')::date - 1);
END
$$;

-- The year in which the fiscal year of a day begins. `start` is its first day, MM-DD.
CREATE FUNCTION seqid.fiscal_year(start text, day date) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT extract(year FROM day)::integer - (to_char(day, 'MM-DD') < start COLLATE "C")::integer
$$;

-- The month of its fiscal year that a day is in, 1 to 12.
CREATE FUNCTION seqid.fiscal_period(start text, day date) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT (months + 12) % 12 + 1
    FROM (SELECT extract(month FROM day)::integer - left(start, 2)::integer
                 - (day < seqid.clipped_date(extract(year FROM day)::integer, extract(month FROM day)::integer,
                                             right(start, 2)::integer))::integer AS months) m
$$;

-- The period of a day: `Calendar::period` of the core. `first` and `last` are NULL where the sequence never starts again.
CREATE FUNCTION seqid.period_of(reset text, start text, day date, OUT name text, OUT first date, OUT last date)
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    year   integer := extract(year FROM day);
    month  integer := extract(month FROM day);
    fiscal integer;
    months integer;
BEGIN
    CASE reset
        WHEN 'never' THEN
            name := 'all';
            RETURN;
        WHEN 'day' THEN
            name := to_char(day, 'YYYY-MM-DD');
            first := day;
            last := day;
        WHEN 'week' THEN
            first := greatest(day - (extract(isodow FROM day)::integer - 1), make_date(1, 1, 1));
            last := least(day + (7 - extract(isodow FROM day)::integer), make_date(9999, 12, 31));
            name := to_char(day, 'IYYY"-W"IW');
        WHEN 'month' THEN
            months := 1;
            name := to_char(day, 'YYYY-MM');
        WHEN 'quarter' THEN
            months := 3;
            name := to_char(day, 'YYYY"-Q"Q');
        WHEN 'half_year' THEN
            months := 6;
            name := to_char(day, 'YYYY') || '-H' || (month - 1) / 6 + 1;
        WHEN 'year' THEN
            months := 12;
            name := to_char(day, 'YYYY');
        ELSE
            months := CASE reset WHEN 'fiscal_year' THEN 12 WHEN 'fiscal_quarter' THEN 3 ELSE 1 END;
            year := seqid.fiscal_year(start, day);
            fiscal := seqid.fiscal_period(start, day);
            name := 'FY' || seqid.padded(year::text, 4, '0');
            IF start <> '01-01' THEN
                name := name || '-' || seqid.padded(((year + 1) % 100)::text, 2, '0');
            END IF;
            name := name || CASE reset
                WHEN 'fiscal_quarter' THEN '-Q' || (fiscal - 1) / 3 + 1
                WHEN 'fiscal_period' THEN '-P' || seqid.padded(fiscal::text, 2, '0')
                ELSE '' END;
            -- Counted from January of the year in which the fiscal year begins.
            month := left(start, 2)::integer + (fiscal - 1) / months * months;
            first := seqid.clipped_date(year, month, right(start, 2)::integer);
            last := seqid.clipped_date(year, month + months, right(start, 2)::integer);
            IF last <> make_date(9999, 12, 31) THEN
                last := last - 1;
            END IF;
            RETURN;
    END CASE;
    IF months IS NOT NULL THEN
        month := (month - 1) / months * months + 1;
        first := make_date(year, month, 1);
        last := seqid.clipped_date(year, month + months - 1, 31);
    END IF;
END
$$;

-- What a part of an id takes from a day: `Function` of the core's templates.
CREATE FUNCTION seqid.date_value(what text, start text, day date, clock time) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE what
        WHEN 'year' THEN extract(year FROM day)
        WHEN 'iso_year' THEN extract(isoyear FROM day)
        WHEN 'fiscal_year_start' THEN seqid.fiscal_year(start, day)
        WHEN 'fiscal_year_end' THEN seqid.fiscal_year(start, day) + (start <> '01-01')::integer
        WHEN 'century' THEN extract(year FROM day)::integer / 100
        WHEN 'month' THEN extract(month FROM day)
        WHEN 'quarter' THEN extract(quarter FROM day)
        WHEN 'half' THEN (extract(month FROM day)::integer - 1) / 6 + 1
        WHEN 'day' THEN extract(day FROM day)
        WHEN 'day_of_year' THEN extract(doy FROM day)
        WHEN 'week_iso' THEN extract(week FROM day)
        WHEN 'week_from_monday' THEN (extract(doy FROM day)::integer + 7 - extract(isodow FROM day)::integer) / 7
        WHEN 'week_from_sunday' THEN (extract(doy FROM day)::integer + 6 - extract(dow FROM day)::integer) / 7
        WHEN 'week_clamped' THEN CASE sign(extract(isoyear FROM day) - extract(year FROM day))
            WHEN -1 THEN 0 WHEN 1 THEN 53 ELSE extract(week FROM day) END
        WHEN 'weekday' THEN extract(isodow FROM day)
        WHEN 'fiscal_quarter' THEN (seqid.fiscal_period(start, day) - 1) / 3 + 1
        WHEN 'fiscal_period' THEN seqid.fiscal_period(start, day)
        WHEN 'hour' THEN extract(hour FROM clock)
        WHEN 'minute' THEN extract(minute FROM clock)
        WHEN 'second' THEN floor(extract(second FROM clock))
    END::integer
$$;

-- How such a value is written.
CREATE FUNCTION seqid.date_text(style jsonb, value integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN style ? 'padded' THEN seqid.padded(value::text, (style ->> 'padded')::integer, '0')
        WHEN style ? 'names' THEN style -> 'names' -> 'names' ->> (value - (style -> 'names' ->> 'first')::integer)
        ELSE (
            SELECT seqid.padded(((shifted % modulus + modulus) % modulus)::text, digits, '0')
            FROM (SELECT (style -> 'year' ->> 'digits')::integer AS digits) d,
                 LATERAL (SELECT (10 ^ digits)::integer AS modulus, value + (style -> 'year' ->> 'add')::integer AS shifted) m)
    END
$$;

-- A number in digits of any base.
CREATE FUNCTION seqid.seq_text(digits text, width integer, number bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    base integer := char_length(digits);
    rest bigint := number;
    text text := '';
BEGIN
    IF digits = '0123456789' THEN
        RETURN seqid.padded(number::text, width, '0');
    END IF;
    WHILE rest > 0 LOOP
        text := substr(digits, (rest % base)::integer + 1, 1) || text;
        rest := rest / base;
    END LOOP;
    RETURN seqid.padded(text, width, left(digits, 1));
END
$$;

-- A field's value as an id shows it. Letters that are not of ASCII do not come here with a change of case.
CREATE FUNCTION seqid.field_text(transforms jsonb, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    shown text := value;
    one   jsonb;
BEGIN
    FOR one IN SELECT t FROM jsonb_array_elements(transforms) t LOOP
        IF one ? 'first' AND jsonb_typeof(one) = 'object' THEN
            shown := left(shown, (one ->> 'first')::integer);
        ELSIF one ? 'last' AND jsonb_typeof(one) = 'object' THEN
            shown := right(shown, (one ->> 'last')::integer);
        ELSIF seqid.is_wide(value) THEN
            PERFORM seqid.refuse('not-in-sql',
                                 format('the format changes the case of %L, which has characters that are not of ASCII', value),
                                 'Draw through seqid.');
        ELSIF one = '"upper"' THEN
            shown := upper(shown COLLATE "C");
        ELSE
            shown := lower(shown COLLATE "C");
        END IF;
    END LOOP;
    RETURN shown;
END
$$;

-- The check digits of a text: `CheckAlgorithm` of the core. Whatever is neither a letter nor a digit is skipped.
CREATE FUNCTION seqid.check_text(algorithm text, ten text, input text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- As `CheckAlgorithm` has them, row after row.
    dihedral     constant text := replace('0123456789 1234067895 2340178956 3401289567 4012395678 '
                                          '5987604321 6598710432 7659821043 8765932104 9876543210', ' ', '');
    inverse      constant text := '0432156789';
    permutations constant text := replace('0123456789 1576283094 5803796142 8916043527 '
                                          '9453126870 4286573901 2793806415 7046913258', ' ', '');
    quasigroup   constant text := replace('0317598642 7092154863 4206871359 1750983426 6123045978 '
                                          '3674209581 5869720134 8945362017 9438617205 2581436790', ' ', '');
    characters   constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*';
    read         text := regexp_replace(upper(input COLLATE "C"), '[^0-9A-Z]' COLLATE "C", '', 'g');
    digits       integer[];
    amount       integer;
    weights      integer[];
    modulus      integer;
    digit        integer;
    total        integer := 0;
BEGIN
    IF algorithm = 'mod97_10' THEN
        read := read || '00';
    ELSIF algorithm = 'rf' THEN
        read := read || 'RF00';
    END IF;
    digits := ARRAY(SELECT strpos(characters, substr(read, place, 1)) - 1 FROM generate_series(1, char_length(read)) place
                    ORDER BY place);
    amount := cardinality(digits);
    CASE
        WHEN algorithm = 'luhn' THEN
            FOR i IN 0 .. amount - 1 LOOP
                digit := digits[amount - i];
                total := total + CASE WHEN i % 2 = 0 THEN digit * 2 / 10 + digit * 2 % 10 ELSE digit END;
            END LOOP;
            RETURN (10 - total % 10) % 10;
        WHEN algorithm = 'verhoeff' THEN
            FOR i IN 0 .. amount - 1 LOOP
                digit := substr(permutations, (i + 1) % 8 * 10 + digits[amount - i] + 1, 1);
                total := substr(dihedral, total * 10 + digit + 1, 1);
            END LOOP;
            RETURN substr(inverse, total + 1, 1);
        WHEN algorithm = 'damm' THEN
            FOR i IN 1 .. amount LOOP
                total := substr(quasigroup, total * 10 + digits[i] + 1, 1);
            END LOOP;
            RETURN total;
        WHEN algorithm IN ('mod11_2', 'mod37_2') THEN
            modulus := CASE algorithm WHEN 'mod11_2' THEN 11 ELSE 37 END;
            FOR i IN 1 .. amount LOOP
                total := (total + digits[i]) * 2 % modulus;
            END LOOP;
            total := (modulus + 1 - total) % modulus;
            RETURN CASE WHEN algorithm = 'mod11_2' AND total = 10 THEN ten ELSE substr(characters, total + 1, 1) END;
        WHEN algorithm IN ('mod11_10', 'mod37_36') THEN
            modulus := CASE algorithm WHEN 'mod11_10' THEN 10 ELSE 36 END;
            total := modulus;
            FOR i IN 1 .. amount LOOP
                total := (total + digits[i]) % modulus;
                total := CASE total WHEN 0 THEN modulus ELSE total END * 2 % (modulus + 1);
            END LOOP;
            RETURN substr(characters, (modulus + 1 - total) % modulus + 1, 1);
        WHEN algorithm IN ('mod97_10', 'rf') THEN
            FOR i IN 1 .. amount LOOP
                total := (total * CASE WHEN digits[i] < 10 THEN 10 ELSE 100 END + digits[i]) % 97;
            END LOOP;
            RETURN seqid.padded((98 - total)::text, 2, '0');
        WHEN algorithm IN ('mod10_731', 'mod11_w7', 'mod11_w9') THEN
            weights := CASE algorithm WHEN 'mod10_731' THEN '{7,3,1}' WHEN 'mod11_w7' THEN '{2,3,4,5,6,7}'
                                      ELSE '{2,3,4,5,6,7,8,9}' END;
            FOR i IN 0 .. amount - 1 LOOP
                total := total + digits[amount - i] * weights[i % cardinality(weights) + 1];
            END LOOP;
            IF algorithm = 'mod10_731' THEN
                RETURN (10 - total % 10) % 10;
            END IF;
            total := (11 - total % 11) % 11;
            RETURN CASE total WHEN 10 THEN ten ELSE total::text END;
    END CASE;
END
$$;

-- The id of a number that was issued at an instant, as a definition's plan writes it.
CREATE FUNCTION seqid.id_text(plan jsonb, day date, period_first date, period_last date, scope jsonb, fields jsonb,
                              number bigint, issued_at timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    start  text := plan ->> 'fiscal_year_start';
    parts  jsonb := plan -> 'parts';
    here   timestamp;
    part   jsonb;
    texts  text[];
    id     text := '';
BEGIN
    -- Check digits may be computed from parts behind them.
    FOR part IN SELECT p FROM jsonb_array_elements(parts) p LOOP
        IF part ? 'date' AND part -> 'date' ->> 'day' = 'now' AND here IS NULL THEN
            here := issued_at AT TIME ZONE (plan ->> 'time_zone');
        END IF;
        texts := texts || CASE
            WHEN part ? 'text' THEN part ->> 'text'
            WHEN part ? 'seq' THEN seqid.seq_text(part -> 'seq' ->> 'digits', (part -> 'seq' ->> 'width')::integer, number)
            WHEN part ? 'date' THEN seqid.date_text(
                part -> 'date' -> 'text',
                seqid.date_value(part -> 'date' ->> 'value', start,
                                 CASE part -> 'date' ->> 'day'
                                     WHEN 'date' THEN day
                                     WHEN 'period_start' THEN coalesce(period_first, day)
                                     WHEN 'period_end' THEN coalesce(period_last, day)
                                     ELSE here::date END,
                                 here::time))
            WHEN part ? 'field' THEN seqid.field_text(
                part -> 'field' -> 'transforms',
                CASE WHEN (part -> 'field' ->> 'scope')::boolean THEN scope ELSE fields END ->> (part -> 'field' ->> 'name'))
            ELSE ''
        END;
    END LOOP;
    FOR i IN 1 .. cardinality(texts) LOOP
        part := parts -> (i - 1) -> 'check';
        id := id || CASE WHEN part IS NULL THEN texts[i] ELSE seqid.check_text(
            part ->> 'algorithm', part ->> 'ten',
            CASE WHEN jsonb_typeof(part -> 'over') = 'array'
                 THEN (SELECT string_agg(texts[o.place::integer + 1], '' ORDER BY o.nth)
                       FROM jsonb_array_elements_text(part -> 'over') WITH ORDINALITY o (place, nth))
                 ELSE id END) END;
    END LOOP;
    RETURN id;
END
$$;

-- A text, or that there is none, as the chain of events encodes it.
CREATE FUNCTION seqid.link_text(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8'), decode('ffffffff', 'hex'))
$$;

-- An instant as the chain of events encodes it: microseconds since 1970.
CREATE FUNCTION seqid.link_instant(value timestamptz) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT int8send((extract(epoch FROM value) * 1000000)::bigint)
$$;

-- What stands in the place of a hash before the first event of a chain. Scope and period are NULL for that of a sequence.
CREATE FUNCTION seqid.chain_name(authority bytea, tenant text, prefix text, scope text, period text) RETURNS bytea
    LANGUAGE sql IMMUTABLE AS $$
    SELECT seqid.link_text('seqid chain 1') || authority || seqid.link_text(tenant) || seqid.link_text(prefix)
           || seqid.link_text(scope) || CASE WHEN scope IS NULL THEN decode('', 'hex') ELSE seqid.link_text(period) END
$$;

-- The hash of an event: the encoding is that of `seqid_core::chain`. `before` is the hash of the event before it in its chain,
-- or the chain's name. The definition that an event saved stands in its own table, and must be put in as `detail`.
CREATE FUNCTION seqid.link_hash(before bytea, e seqid.event) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(before
        || substr(int2send(e.kind), 2)
        || int8send(e.n) || int4send(e.generation) || int4send(e.epoch)
        || int8send(coalesce(e.first, 0)) || int8send(coalesce(e.step, 0)) || int8send(coalesce(e.count, 0))
        || int4send(e.version)
        || seqid.link_instant(e.at)
        || int4send(coalesce(e.date - make_date(1970, 1, 1), -2147483648))
        || seqid.link_text(e.fields)
        || seqid.link_text(e.actor) || seqid.link_text(e.client) || seqid.link_text(e.request)
        || seqid.link_text(e.reference) || seqid.link_text(e.relates_to) || seqid.link_text(e.reason)
        || seqid.link_text(e.key) || CASE WHEN e.key IS NULL THEN decode('', 'hex') ELSE e.fingerprint END
        || seqid.link_text(e.detail)
        || CASE WHEN e.reservation IS NULL THEN decode('ffffffff', 'hex')
                ELSE int4send(25) || e.reservation || seqid.link_instant(e.expires_at) || substr(int2send(e.on_expiry), 2) END)
$$;

-- A text as names of keys and fingerprints of requests encode it.
CREATE FUNCTION seqid.digest_text(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT int8send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8')
$$;

-- The same where there may be none.
CREATE FUNCTION seqid.digest_optional(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(CASE WHEN value IS NULL THEN '00' ELSE '01' END, 'hex') || seqid.digest_text(coalesce(value, ''))
$$;

-- The same for values, as they were sent.
CREATE FUNCTION seqid.digest_values(sent jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT int8send(count(*)) || coalesce(string_agg(seqid.digest_text(v.key) || seqid.digest_text(v.value),
                                                     decode('', 'hex') ORDER BY v.key COLLATE "C"),
                                          decode('', 'hex'))
    FROM jsonb_each_text(sent) v
$$;

-- The name of an idempotency key among all: `KeyName` of the core.
CREATE FUNCTION seqid.key_name(tenant text, prefix text, key text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT substr(sha256(seqid.digest_text(tenant) || seqid.digest_text(prefix) || seqid.digest_text(key)), 1, 16)
$$;

-- The digest of a draw of one number as it was sent: `of_draw` of the core's issuer/fingerprint.rs.
CREATE FUNCTION seqid.draw_fingerprint(prefix text, scope jsonb, fields jsonb, reference text, relates_to text, date date)
    RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT substr(sha256(
        convert_to('seqid request 1', 'UTF8') || seqid.digest_text('next') || seqid.digest_text(prefix) || int4send(1)
        || seqid.digest_values(scope) || seqid.digest_values(fields)
        || seqid.digest_optional(reference) || seqid.digest_optional(relates_to)
        || seqid.digest_optional(to_char(date, 'YYYY-MM-DD'))), 1, 16)
$$;

-- Where one version of a definition puts a draw: its counter's name and period, and the values in print.
CREATE FUNCTION seqid.line_of(plan jsonb, day date, scope jsonb, fields jsonb,
                              OUT period text, OUT period_first date, OUT period_last date,
                              OUT scope_values jsonb, OUT field_values jsonb, OUT scope_text text,
                              OUT refused text, OUT reason text)
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    one record;
BEGIN
    IF day NOT BETWEEN (plan -> 'window' ->> 0)::date AND (plan -> 'window' ->> 1)::date THEN
        refused := 'date-out-of-window';
        reason := format('the date %s is outside of %s to %s, the dates that this sequence takes',
                         to_char(day, 'YYYY-MM-DD'), plan -> 'window' ->> 0, plan -> 'window' ->> 1);
        RETURN;
    END IF;
    SELECT p.name, p.first, p.last INTO period, period_first, period_last
    FROM seqid.period_of(plan ->> 'reset', plan ->> 'fiscal_year_start', day) p;
    one := seqid.field_values(plan -> 'scope', scope);
    scope_values := one.named;
    scope_text := seqid.values_text(one.named);
    IF one.refused IS NULL AND seqid.is_wide(scope_text) THEN
        one.refused := 'not-in-sql';
        one.reason := 'the scope has characters that are not of ASCII';
    END IF;
    IF one.refused IS NULL THEN
        one := seqid.field_values(plan -> 'fields', fields);
        field_values := one.named;
    END IF;
    refused := one.refused;
    reason := one.reason;
END
$$;

-- What a draw of this key was answered. NULL where the key is new, or as old as keys are forgotten.
CREATE FUNCTION seqid.replay(name bytea, fingerprint bytea, OUT id text, OUT number bigint, OUT period text,
                             OUT generation integer, OUT epoch integer, OUT definition_version integer,
                             OUT issued_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    k seqid.idempotency_key;
    e record;
    c seqid.counter;
BEGIN
    SELECT i.* INTO k FROM seqid.idempotency_key i, seqid.store s
    WHERE i.name = replay.name AND i.at >= clock_timestamp() - s.key_retention;
    IF k.name IS NULL THEN
        RETURN;
    END IF;
    -- This transaction's own events are not in the log yet.
    SELECT w.first, w.generation, w.epoch, w.version, w.at, w.date, w.fields, w.fingerprint INTO e
    FROM seqid.event w WHERE w.at = k.at AND w.chain = k.chain AND w.n = k.n;
    IF NOT FOUND THEN
        SELECT w.first, w.generation, w.epoch, w.version, w.at, w.date, w.fields, w.fingerprint INTO e
        FROM seqid.event_waiting w
        WHERE w.xact = pg_current_xact_id_if_assigned() AND w.chain = k.chain AND w.n = k.n;
    END IF;
    IF e.fingerprint IS DISTINCT FROM replay.fingerprint THEN
        PERFORM seqid.refuse('idempotency-mismatch', 'the idempotency key was used with another request',
                             'Send what was sent with the key, or another key.');
    END IF;
    SELECT * INTO c FROM seqid.counter o WHERE o.id = k.chain;
    SELECT seqid.id_text(d.plan, e.date, c.period_first, c.period_last, seqid.values_of(c.scope),
                         seqid.values_of(e.fields), e.first, e.at)
    INTO id FROM seqid.definition d WHERE d.sequence = c.sequence AND d.version = e.version;
    number := e.first;
    period := c.period;
    generation := e.generation;
    epoch := e.epoch;
    definition_version := e.version;
    issued_at := e.at;
END
$$;

-- Draws the next number of a sequence. It is the caller's when the caller commits, and nobody's if the caller rolls back. The
-- counter is the caller's until then: who else draws from it waits.
CREATE FUNCTION seqid.draw(prefix text, date date DEFAULT NULL, scope jsonb DEFAULT NULL, fields jsonb DEFAULT NULL,
                           tenant text DEFAULT 'default', reference text DEFAULT NULL, relates_to text DEFAULT NULL,
                           key text DEFAULT NULL, actor text DEFAULT NULL, client text DEFAULT NULL,
                           request text DEFAULT NULL,
                           OUT id text, OUT number bigint, OUT period text, OUT generation integer, OUT epoch integer,
                           OUT definition_version integer, OUT issued_at timestamptz, OUT replayed boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    sent_scope  jsonb;
    sent_fields jsonb;
    key_digest  bytea;
    print       bytea;
    earlier     record;
    s           seqid.sequence;
    head        jsonb;
    today       date;
    day         date;
    opened      integer;
    plan        jsonb;
    line        record;
    refused     record;
    existing    text;
    tries       integer := 0;
    c           seqid.counter;
    opens       boolean;
    closed      date;
    most        bigint;
    step        bigint;
    e           seqid.event;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- Its snapshot is older than the locks that are taken here: it sees neither dates closed nor counters opened since.
        PERFORM seqid.refuse('wrong-isolation',
                             format('numbers are drawn in READ COMMITTED, not in %s',
                                    upper(current_setting('transaction_isolation'))),
                             'Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.');
    END IF;
    PERFORM seqid.commit_durably();
    IF prefix IS NULL OR tenant IS NULL OR date NOT BETWEEN make_date(1, 1, 1) AND make_date(9999, 12, 31) THEN
        PERFORM seqid.refuse('invalid-request', 'prefix and tenant must not be NULL, and date must be in the years 1 to 9999',
                             'Correct the argument.');
    END IF;
    PERFORM seqid.require_text('prefix', prefix, 64, '^[A-Za-z0-9][A-Za-z0-9_.-]*$', 'letters, digits, _ - and .'),
            seqid.require_text('tenant', tenant, 64, '^[A-Za-z0-9][A-Za-z0-9_.-]*$', 'letters, digits, _ - and .'),
            seqid.require_text('reference', reference, 255, E'^[^\\u0001-\\u001f\\u007f-\\u009f]*$', 'printable characters'),
            seqid.require_text('relates_to', relates_to, 255, E'^[^\\u0001-\\u001f\\u007f-\\u009f]*$', 'printable characters'),
            seqid.require_text('key', key, 255, '^[ -~]*$', 'printable characters of ASCII'),
            seqid.require_text('actor', actor, 255, '^[ -~]*$', 'printable characters of ASCII'),
            seqid.require_text('client', client, 255, '^[ -~]*$', 'printable characters of ASCII'),
            seqid.require_text('request', request, 255, '^[ -~]*$', 'printable characters of ASCII');
    sent_scope := seqid.sent_values('scope', scope);
    sent_fields := seqid.sent_values('fields', fields);

    IF key IS NOT NULL THEN
        key_digest := seqid.key_name(tenant, prefix, key);
        print := seqid.draw_fingerprint(prefix, sent_scope, sent_fields, reference, relates_to, date);
        SELECT r.*, true INTO id, number, period, generation, epoch, definition_version, issued_at, replayed
        FROM seqid.replay(key_digest, print) r;
        IF id IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;

    -- A statement that waits for a lock goes on with what it saw before. So what a lock protects is read by statements behind
    -- the one that takes it. From here on nobody changes definitions, closes dates or archives in this group.
    PERFORM pg_advisory_xact_lock_shared(seqid.lock_class('sequence'), seqid.sequence_group(prefix));
    SELECT q.* INTO s FROM seqid.sequence q
    WHERE q.tenant = draw.tenant AND q.prefix_folded = lower(draw.prefix COLLATE "C");
    SELECT d.plan INTO head FROM seqid.definition d WHERE d.sequence = s.id AND d.version = s.head;
    IF head IS NULL THEN
        PERFORM seqid.refuse('sequence-not-found', format('sequence %s of tenant %s is not defined', prefix, tenant),
                             format('Define it through seqid first: PUT /api/v1/sequences/%s', prefix));
    ELSIF s.prefix <> prefix THEN
        PERFORM seqid.refuse('case-variant', format('%s differs by letter case alone from %s, which exists', prefix, s.prefix),
                             format('Write it as %s.', s.prefix));
    ELSIF s.archived THEN
        PERFORM seqid.refuse('sequence-archived', format('sequence %s was archived', prefix),
                             'It gives no numbers any more. Draw from another sequence.');
    ELSIF head ? 'not_in_sql' THEN
        PERFORM seqid.refuse('not-in-sql', head ->> 'not_in_sql', 'Draw through seqid.');
    END IF;

    today := (clock_timestamp() AT TIME ZONE (head ->> 'time_zone'))::date;
    day := coalesce(date, today);
    IF date > today + (head ->> 'days_ahead')::integer THEN
        PERFORM seqid.refuse('date-out-of-window',
                             format('the date %s is more than %s days after today, %s', to_char(date, 'YYYY-MM-DD'),
                                    head ->> 'days_ahead', to_char(today, 'YYYY-MM-DD')),
                             'Draw the number when the day has come, or raise days_ahead.');
    END IF;

    -- The newest version that takes what was sent names the counter, unless the counter opened with another one.
    opened := s.head;
    plan := head;
    line := seqid.line_of(plan, day, sent_scope, sent_fields);
    IF line.refused IS NOT NULL THEN
        refused := line;
        FOR opened, plan IN SELECT d.version, d.plan FROM seqid.definition d
                            WHERE d.sequence = s.id AND d.version < s.head ORDER BY d.version DESC LOOP
            line := seqid.line_of(plan, day, sent_scope, sent_fields);
            EXIT WHEN line.refused IS NULL;
        END LOOP;
    END IF;
    LOOP
        IF line.refused IS NOT NULL THEN
            refused := coalesce(refused, line);
            PERFORM seqid.refuse(refused.refused, refused.reason,
                                 CASE refused.refused WHEN 'not-in-sql' THEN 'Draw through seqid.'
                                                      ELSE 'Correct the arguments.' END);
        END IF;
        SELECT o.* INTO c FROM seqid.counter o
        WHERE o.sequence = s.id AND o.scope_folded = lower(line.scope_text COLLATE "C") AND o.period = line.period;
        IF NOT FOUND AND opened = s.head THEN
            -- It may be opened here, by nobody else until the caller's transaction ends.
            PERFORM pg_advisory_xact_lock(seqid.lock_class('opening'), seqid.sequence_group(prefix));
            SELECT o.* INTO c FROM seqid.counter o
            WHERE o.sequence = s.id AND o.scope_folded = lower(line.scope_text COLLATE "C") AND o.period = line.period;
        END IF;
        opens := NOT FOUND;
        existing := c.scope;
        IF opens AND line.scope_text <> '' THEN
            SELECT min(o.scope) INTO existing FROM seqid.counter o
            WHERE o.sequence = s.id AND o.scope_folded = lower(line.scope_text COLLATE "C");
        END IF;
        IF existing <> line.scope_text THEN
            PERFORM seqid.refuse('case-variant',
                                 format('%L differs by letter case alone from %L, which exists', line.scope_text, existing),
                                 'Write the values of the scope as they exist.');
        END IF;
        EXIT WHEN coalesce(c.version, s.head) = opened;
        opened := coalesce(c.version, s.head);
        SELECT d.plan INTO plan FROM seqid.definition d WHERE d.sequence = s.id AND d.version = opened;
        line := seqid.line_of(plan, day, sent_scope, sent_fields);
        refused := NULL;
        tries := tries + 1;
        IF tries > 16 THEN
            PERFORM seqid.refuse('not-in-sql', 'versions of the definition name different counters for these values',
                                 'Draw through seqid.');
        END IF;
    END LOOP;
    IF plan ? 'not_in_sql' THEN
        PERFORM seqid.refuse('not-in-sql', plan ->> 'not_in_sql', 'Draw through seqid.');
    END IF;

    IF NOT opens THEN
        SELECT o.* INTO c FROM seqid.counter o WHERE o.id = c.id FOR UPDATE;
    END IF;
    IF key IS NOT NULL THEN
        -- Whoever had the counter may have used the key.
        SELECT r.*, true INTO id, number, period, generation, epoch, definition_version, issued_at, replayed
        FROM seqid.replay(key_digest, print) r;
        IF id IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    replayed := false;
    issued_at := clock_timestamp();

    -- What is closed of the sequence by itself, and of all sequences of the tenant.
    SELECT greatest(s.closed_through, max(w.closed_through)) INTO closed
    FROM seqid.sequence w WHERE w.tenant = draw.tenant AND w.prefix_folded = '*';
    IF day <= closed THEN
        PERFORM seqid.refuse('period-closed', format('documents of dates up to %s are closed', to_char(closed, 'YYYY-MM-DD')),
                             'Give the document a later date, or reopen the dates through seqid.');
    ELSIF c.status = 'frozen' THEN
        PERFORM seqid.refuse('frozen', 'the counter is frozen until an operator has looked at it', 'Tell the operator.');
    ELSIF c.leases > 0 THEN
        PERFORM seqid.refuse('not-in-sql', 'the numbers of this counter are in the hands of a holder', 'Draw through seqid.');
    ELSIF c.free > 0 THEN
        PERFORM seqid.refuse('not-in-sql', 'numbers that were let go are offered again', 'Draw through seqid.');
    ELSIF c.next_expiry <= issued_at THEN
        PERFORM seqid.refuse('not-in-sql', 'a reservation has ended and is not recorded as ended yet', 'Draw through seqid.');
    END IF;
    IF (plan ->> 'chronological')::boolean THEN
        IF date < c.last_date THEN
            PERFORM seqid.refuse('date-before-last',
                                 format('the last document has the later date %s', to_char(c.last_date, 'YYYY-MM-DD')),
                                 'Give the document that date or a later one.');
        END IF;
        -- Without a date of its own, a document has at least the last one's: that of the same period.
        day := greatest(day, c.last_date);
        c.last_date := day;
    END IF;

    most := greatest((plan ->> 'max')::bigint, least((head ->> 'max')::bigint, (plan ->> 'largest_printable')::bigint));
    step := (plan ->> 'step')::bigint;
    IF opens THEN
        c.id := nextval('seqid.chain_id');
        c.sequence := s.id;
        c.scope := line.scope_text;
        c.scope_folded := lower(line.scope_text COLLATE "C");
        c.period := line.period;
        c.period_kind := plan ->> 'reset';
        c.period_first := line.period_first;
        c.period_last := line.period_last;
        c.version := opened;
        c.generation := 1;
        c.epoch := 1;
        c.next := (plan ->> 'start')::bigint;
        c.status := 'open';
        c.n := 0;
        c.reserved := 0;
        c.voided := 0;
        c.free := 0;
        c.leases := 0;
        SELECT seqid.chain_name(st.authority, s.tenant, s.prefix, c.scope, c.period) INTO c.hash FROM seqid.store st;
    END IF;
    IF c.next IS NULL OR c.next > most THEN
        PERFORM seqid.refuse('exhausted', format('the counter ended at %s', most), 'Raise max, or draw from another sequence.');
    END IF;

    number := c.next;
    e.at := issued_at;
    e.sequence := s.id;
    e.chain := c.id;
    e.kind := 1;
    e.n := c.n + 1;
    e.generation := c.generation;
    e.epoch := c.epoch;
    e.first := number;
    e.step := step;
    e.count := 1;
    e.version := opened;
    e.mode := (plan ->> 'mode')::smallint;
    e.date := day;
    e.fields := nullif(seqid.values_text(line.field_values), '');
    e.actor := actor;
    e.client := coalesce(client, CASE WHEN session_user COLLATE "C" ~ '^[ -~]*$' THEN session_user END);
    e.request := request;
    e.reference := reference;
    e.relates_to := relates_to;
    e.key := key;
    e.fingerprint := print;
    e.hash := seqid.link_hash(c.hash, e);

    IF key IS NOT NULL THEN
        INSERT INTO seqid.idempotency_key AS k (name, chain, n, at) VALUES (key_digest, e.chain, e.n, e.at)
        ON CONFLICT (name) DO UPDATE SET chain = excluded.chain, n = excluded.n, at = excluded.at
        WHERE k.at < excluded.at - (SELECT st.key_retention FROM seqid.store st);
        IF NOT FOUND THEN
            -- It went to another counter just now, as around midnight.
            RAISE serialization_failure USING MESSAGE = 'the idempotency key was used by another transaction meanwhile',
                                              HINT = 'Run the transaction again.';
        END IF;
    END IF;
    INSERT INTO seqid.event_waiting (at, sequence, chain, kind, n, generation, epoch, first, step, count, version, mode, date,
                                     fields, actor, client, request, reference, relates_to, key, fingerprint, hash)
    VALUES (e.at, e.sequence, e.chain, e.kind, e.n, e.generation, e.epoch, e.first, e.step, e.count, e.version, e.mode, e.date,
            e.fields, e.actor, e.client, e.request, e.reference, e.relates_to, e.key, e.fingerprint, e.hash);
    c.next := CASE WHEN number <= 9223372036854775807 - step THEN number + step END;
    c.last := number;
    c.n := e.n;
    c.hash := e.hash;
    IF opens THEN
        INSERT INTO seqid.counter SELECT c.*;
        UPDATE seqid.sequence q SET opened = true WHERE q.id = s.id AND NOT q.opened;
    ELSE
        UPDATE seqid.counter o SET next = c.next, last = c.last, last_date = c.last_date, n = c.n, hash = c.hash
        WHERE o.id = c.id;
    END IF;

    id := seqid.id_text(plan, day, c.period_first, c.period_last, line.scope_values, line.field_values, number, issued_at);
    period := c.period;
    generation := c.generation;
    epoch := c.epoch;
    definition_version := opened;
END
$$;

-- The same for who needs the id alone.
CREATE FUNCTION seqid.next(prefix text, date date DEFAULT NULL, scope jsonb DEFAULT NULL, fields jsonb DEFAULT NULL,
                           tenant text DEFAULT 'default', reference text DEFAULT NULL, relates_to text DEFAULT NULL,
                           key text DEFAULT NULL, actor text DEFAULT NULL, client text DEFAULT NULL,
                           request text DEFAULT NULL) RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.id FROM seqid.draw(prefix, date, scope, fields, tenant, reference, relates_to, key, actor, client, request) d
$$;

-- Who may draw is told by GRANT.
REVOKE EXECUTE ON FUNCTION seqid.draw, seqid.next FROM PUBLIC;
