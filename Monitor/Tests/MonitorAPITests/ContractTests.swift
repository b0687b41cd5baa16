import Testing
import WireFormats

@testable import MonitorAPI

/// What must hold of every operation, generated from their table.
@Suite struct ContractTests {
    private static func body(_ shape: JSONShape, without: String? = nil, replacing: (String, JSONValue)? = nil)
        -> String
    {
        var members: [JSONMember] = []
        for field in shape.fields where field.name != without {
            if let replacing, replacing.0 == field.name {
                members.append(JSONMember(field.name, replacing.1))
            } else if case .refused = field.absence {
                members.append(JSONMember(field.name, example(field.kind)))
            }
        }
        var bytes: [UInt8] = []
        JSONValue.object(members).write(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func example(_ kind: JSONKind) -> JSONValue {
        switch kind {
        case .text, .checkedText: .string("x")
        case .boolean: .boolean(true)
        case .integer: .integer(1)
        case .choice(let names): .string(names[0])
        case .object, .free: .object([])
        case .list: .array([])
        }
    }

    private static func wrong(_ kind: JSONKind) -> JSONValue? {
        switch kind {
        case .free: nil
        case .text, .checkedText, .boolean, .choice: .integer(1)
        case .integer, .list, .object: .string("x")
        }
    }

    private static func line(_ operation: MonitorAPI.Operation, _ body: String?) -> String {
        var path = operation.path
        if case .resource(let name) = operation.place { path = "/\(operation.name)/x_\(name.count)" }
        return operation.method.name + " " + path + (body.map { " " + $0 } ?? "")
    }

    static let changes = MonitorAPI.Operation.all.filter { $0.method != .get }
    static let questions = MonitorAPI.Operation.all.filter { $0.method == .get }

    @Test(arguments: questions) func `a question has no body`(_ operation: MonitorAPI.Operation) {
        #expect(Face().fault(Self.line(operation, "{}")) == "GET request cannot have a body.")
    }

    @Test(arguments: changes) func `a change has a body, and it is JSON`(_ operation: MonitorAPI.Operation) {
        let face = Face()
        if operation.isBodyOptional {
            return #expect(face.fault(Self.line(operation, nil)).contains("before starting"))
        }
        #expect(face.fault(Self.line(operation, nil)) == "Empty \(operation.method.name) request.")
        #expect(
            face.fault(Self.line(operation, "x"))
                == "An error occurred when deserializing the json body of a request: expected value at line 1 column 1."
        )
    }

    @Test(arguments: changes) func `unknown fields are refused, and the known ones named`(
        _ operation: MonitorAPI.Operation
    ) {
        guard let shape = operation.shape else { return }
        let message = Face().fault(Self.line(operation, #"{"no_such_field":1}"#))
        if shape.isLenient {
            #expect(message.contains("missing field"))
        } else {
            #expect(message.contains("unknown field `no_such_field`, expected "))
            #expect(message.hasSuffix(" at line 1 column 16."))
            for field in shape.fields { #expect(message.contains("`\(field.name)`")) }
        }
    }

    @Test(arguments: changes) func `required fields are required`(_ operation: MonitorAPI.Operation) {
        for field in operation.shape?.fields ?? [] {
            guard case .refused = field.absence, let shape = operation.shape else { continue }
            let message = Face().fault(Self.line(operation, Self.body(shape, without: field.name)))
            #expect(message.contains("missing field `\(field.name)`"))
        }
    }

    @Test(arguments: changes) func `a field of another type is refused`(_ operation: MonitorAPI.Operation) {
        for field in operation.shape?.fields ?? [] {
            guard let shape = operation.shape, let wrong = Self.wrong(field.kind) else { continue }
            let message = Face().fault(Self.line(operation, Self.body(shape, replacing: (field.name, wrong))))
            #expect(message.hasPrefix("An error occurred when deserializing the json body of a request: "))
        }
    }

    @Test(arguments: changes) func `a field that stands twice is refused`(_ operation: MonitorAPI.Operation) {
        guard let shape = operation.shape, let field = shape.fields.first, case .text = field.kind else { return }
        let message = Face().fault(Self.line(operation, #"{"\#(field.name)":"x","\#(field.name)":"x"}"#))
        #expect(message.contains("duplicate field `\(field.name)`"))
    }

    @Test(arguments: MonitorAPI.Operation.all) func `an operation has its time`(_ operation: MonitorAPI.Operation) {
        let face = Face()
        if operation.time == .beforeStart { face.start() }
        guard operation.time != .always else { return }
        var members: [JSONMember] = []
        for field in operation.shape?.fields ?? [] {
            guard case .refused = field.absence else { continue }
            var value = Self.example(field.kind)
            if case .resource(let name) = operation.place, name == field.name { value = .string("x_\(name.count)") }
            members.append(JSONMember(field.name, value))
        }
        var bytes: [UInt8] = []
        JSONValue.object(members).write(to: &bytes)
        let body = operation.method == .get ? nil : String(decoding: bytes, as: UTF8.self)
        #expect(
            face.fault(Self.line(operation, body))
                == "The requested operation is not supported \(operation.time == .beforeStart ? "after" : "before") starting the microVM."
        )
    }

    @Test func `every path of the table leads to its own operation`() {
        for operation in MonitorAPI.Operation.all {
            let path = operation.path.replacing("{drive_id}", with: "x").replacing("{iface_id}", with: "x")
                .replacing("{id}", with: "x")
            guard case .operation(let found, _) = MonitorAPI.Operation.route(operation.method, path) else {
                Issue.record("\(operation.method) \(path) leads nowhere")
                continue
            }
            #expect(found.path == operation.path && found.method == operation.method)
        }
    }
}
