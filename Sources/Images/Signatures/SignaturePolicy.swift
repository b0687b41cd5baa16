public import Archives
import JSONFields
import WireFormats

/// Which keys are trusted with images of which names. Format: Documentation/signatures.md.
public struct SignaturePolicy: Equatable, Sendable {
    /// What holds for some names.
    public struct Rule: Equatable, Sendable {
        public enum Demand: Equatable, Sendable {
            /// So many of these keys, each with its name, must have signed.
            case signatures(of: [NamedKey], atLeast: Int)
            case nothing
            /// They are not run.
            case refusal
        }

        /// `ghcr.io/acme/firewall`, or `ghcr.io/acme/*` for everything below.
        public let names: [String]
        public let demand: Demand
        /// Repositories besides the image's own whose signatures count as well: where it was copied from.
        public let otherIdentities: [String]
    }

    public struct NamedKey: Equatable, Sendable {
        public let name: String
        public let key: VerifyingKey
    }

    /// Why an image may be run.
    public enum Verdict: Equatable, Sendable {
        /// The names of the keys that signed it.
        case signed(by: [String])
        /// The policy wants no signature for images of its name.
        case unsignedAllowed
    }

    public let rules: [Rule]
    public static let maximumBytes = 256 << 10

    /// A policy of one rule: that key, and no other, for that name, and no other.
    public init(trusting key: VerifyingKey, called name: String, with reference: String) {
        rules = [
            Rule(
                names: [SimpleSigningPayload.repository(of: reference)],
                demand: .signatures(of: [NamedKey(name: name, key: key)], atLeast: 1), otherIdentities: [])
        ]
    }

    /// - Parameter key: the text of a key's file, which the policy may name instead of holding the key.
    public init(
        parsing bytes: [UInt8], key readKey: (String) throws(SignatureError) -> String
    ) throws(SignatureError) {
        let json: JSONValue
        do throws(JSONError) { json = try JSONParser.parse(bytes) } catch {
            throw SignatureError(.invalidPolicy, "the policy is not JSON: \(error)")
        }
        do throws(FieldFault) {
            var document = try FieldReader(json)
            var rules: [Rule] = []
            for rule in try document.objects("rules") { rules.append(try Self.rule(rule, readKey)) }
            guard !rules.isEmpty else {
                throw document.fault("rules", "there must be one; {\"names\": [\"*\"], …} is for all")
            }
            try document.finish()
            self.rules = rules
        } catch {
            throw SignatureError(.invalidPolicy, "the policy's \(error)")
        }
    }

    private static func rule(
        _ reader: FieldReader, _ readKey: (String) throws(SignatureError) -> String
    ) throws(FieldFault) -> Rule {
        var reader = reader
        let names = try reader.texts("names")
        guard !names.isEmpty, names.allSatisfy(isPattern) else {
            throw reader.fault(
                "names", "must be repositories, as ghcr.io/acme/firewall, or end in /* for all below, or be *")
        }
        let otherIdentities = try reader.texts("identities")
        let keys = try reader.objects("keys")
        let leastText = try reader.optionalInteger("at-least")
        let demand: Rule.Demand
        switch (try reader.optionalText("unsigned"), keys.isEmpty) {
        case ("accept"?, true): demand = .nothing
        case ("refuse"?, true): demand = .refusal
        case (nil, false):
            var named: [NamedKey] = []
            for key in keys { named.append(try self.key(key, readKey)) }
            guard Set(named.map(\.key)).count == named.count else {
                throw reader.fault("keys", "one stands there twice")
            }
            let least = leastText ?? 1
            guard (1...Int64(named.count)).contains(least) else {
                throw reader.fault("at-least", "must be from 1 to the number of keys")
            }
            demand = .signatures(of: named, atLeast: Int(least))
        default:
            throw FieldFault(reader.path, "must have either keys, or unsigned, which is \"accept\" or \"refuse\"")
        }
        if case .signatures = demand {} else if leastText != nil { throw reader.fault("at-least", "needs keys") }
        try reader.finish()
        return Rule(
            names: names.map { $0 == "*" ? $0 : SimpleSigningPayload.repository(of: $0) }, demand: demand,
            otherIdentities: otherIdentities.map(SimpleSigningPayload.repository))
    }

    private static func key(
        _ reader: FieldReader, _ readKey: (String) throws(SignatureError) -> String
    ) throws(FieldFault) -> NamedKey {
        var reader = reader
        let name = try reader.text("name")
        let file = try reader.optionalText("file")
        let text = try reader.optionalText("pem")
        guard (1...80).contains(name.count), (file == nil) != (text == nil) else {
            throw FieldFault(reader.path, "must have a name, and either file or pem")
        }
        try reader.finish()
        do throws(SignatureError) {
            let pem: String
            if let text { pem = text } else { pem = try readKey(file ?? "") }
            return NamedKey(name: name, key: try VerifyingKey(pem: pem))
        } catch {
            throw FieldFault(reader.path, error.message)
        }
    }

    private static func isPattern(_ text: String) -> Bool {
        let literal = text.hasSuffix("/*") ? String(text.dropLast(2)) : text
        return text == "*" || (!literal.isEmpty && !literal.contains("*") && !literal.contains(" "))
    }

    /// The rule for a repository: the one that names it most closely, of equals the first.
    func rule(for repository: String) -> Rule? {
        var best: (rule: Rule, length: Int)?
        for rule in rules {
            for name in rule.names {
                let length: Int
                if name == "*" {
                    length = 0
                } else if name.hasSuffix("/*"), repository.hasPrefix(name.dropLast()) {
                    length = name.count
                } else if name == repository {
                    length = .max
                } else {
                    continue
                }
                if length > best?.length ?? -1 { best = (rule, length) }
            }
        }
        return best?.rule
    }

    /// Whether signatures are needed at all, for who would have to fetch them.
    public func wantsSignatures(of reference: String) -> Bool {
        guard case .signatures = rule(for: SimpleSigningPayload.repository(of: reference))?.demand else { return false }
        return true
    }

    /// Whether an image may be run.
    ///
    /// A signature counts when a key of the rule made it, it is of this very digest, and it names this repository, or one that the
    /// rule names: nobody passes one image off as another that the same people signed.
    /// - Parameter reference: the name under which the image is wanted.
    /// - Throws: `missing`, `untrusted`, `refusedByPolicy`, with what was found.
    public func judge(
        _ digest: SHA256Digest, named reference: String, signatures: [ImageSignature]
    ) throws(SignatureError) -> Verdict {
        let repository = SimpleSigningPayload.repository(of: reference)
        guard let rule = rule(for: repository) else {
            throw SignatureError(
                .refusedByPolicy, "no rule of the policy is for \(repository), and what no rule is for is refused")
        }
        let keys: [NamedKey]
        let least: Int
        switch rule.demand {
        case .nothing: return .unsignedAllowed
        case .refusal: throw SignatureError(.refusedByPolicy, "the policy refuses \(repository)")
        case .signatures(let of, let atLeast): (keys, least) = (of, atLeast)
        }
        guard !signatures.isEmpty else {
            throw SignatureError(
                .missing,
                "\(repository)@\(digest) is not signed, and the policy wants a signature by \(names(keys, least))")
        }
        var signers: [String] = []
        var reasons: [String] = []
        for named in keys {
            // A right signature of something else is told from a wrong one, once for each key.
            var reason: String?
            for signature in signatures where named.key.verifies(signature.signature, of: signature.payload) {
                reason = objection(to: signature, digest, repository, rule)
                if reason == nil {
                    signers.append(named.name)
                    break
                }
            }
            if let reason { reasons.append("\(named.name) signed \(reason)") }
        }
        guard signers.count >= least else {
            let found = signers.isEmpty ? [] : ["\(signers.joined(separator: ", ")) signed it"]
            let detail = found + reasons
            throw SignatureError(
                .untrusted,
                "\(repository)@\(digest) is not signed by \(names(keys, least))"
                    + (detail.isEmpty
                        ? "; \(signatures.count) signatures are of other keys, or wrong"
                        : ": " + detail.joined(separator: "; ")))
        }
        return .signed(by: signers)
    }

    /// Why a signature that is right does not count.
    private func objection(
        to signature: ImageSignature, _ digest: SHA256Digest, _ repository: String, _ rule: Rule
    ) -> String? {
        let payload: SimpleSigningPayload
        do throws(SignatureError) { payload = try SimpleSigningPayload(parsing: signature.payload) } catch {
            return "something else (\(error.message))"
        }
        guard payload.digest == digest else { return "another image, \(payload.digest)" }
        guard payload.repository == repository || rule.otherIdentities.contains(payload.repository) else {
            return "it as \(printable(payload.repository)), which the policy does not take for \(repository)"
        }
        return nil
    }

    private func names(_ keys: [NamedKey], _ least: Int) -> String {
        let list = keys.map(\.name).joined(separator: ", ")
        return least == keys.count ? list : "\(least) of \(list)"
    }

    private func printable(_ text: String) -> String {
        String(text.prefix(200).unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) })
    }
}
