import Archives
import JSONValues
import OCIImages

extension ImageConfiguration.HealthCheck {
    init(_ check: OCIImage.HealthCheck) {
        self.init()
        test = check.test
        intervalSeconds = check.intervalSeconds
        timeoutSeconds = check.timeoutSeconds
        startPeriodSeconds = check.startPeriodSeconds
        startIntervalSeconds = check.startIntervalSeconds
        retries = check.retries
    }
}

extension ImageConfiguration {
    /// A whole configuration of an image with one layer, made at no time.
    func document(layer: SHA256Digest) -> JSONValue {
        .object([
            "architecture": .text(architecture), "os": .text("linux"), "config": program(over: .object([:])),
            "rootfs": .object(["type": .text("layers"), "diff_ids": .list([.text("\(layer)")])]),
            "history": .list([.object(["created_by": .text("swiftlet image import")])]),
        ])
    }

    /// What a person may say of a program when importing, in an OCI configuration's `config`.
    func program(over program: JSONValue) -> JSONValue {
        var program = program
        program["Entrypoint"] = .texts(entrypoint)
        program["Cmd"] = .texts(command)
        program["Env"] = .texts(environment)
        program["User"] = .text(user)
        program["WorkingDir"] = .text(workingDirectory)
        program["Labels"] = labels.isEmpty ? nil : .object(labels.mapValues { .text($0) })
        return program
    }
}

extension JSONValue {
    /// A list of texts; an empty one is left out.
    static func texts(_ texts: [String]) -> JSONValue? {
        texts.isEmpty ? nil : .list(texts.map { .text($0) })
    }
}
