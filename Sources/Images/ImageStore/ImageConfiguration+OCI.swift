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
