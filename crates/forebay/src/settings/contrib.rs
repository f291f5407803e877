//! Components of the Collector's distributions that are not here: naming them tells a typo from a gap.

/// Whether the Collector's core or contrib distribution has such a component.
pub(super) fn has(kind: &str, name: &str) -> bool {
    let names = match kind {
        "receiver" => RECEIVERS,
        "processor" => PROCESSORS,
        "exporter" => EXPORTERS,
        "extension" => EXTENSIONS,
        _ => "",
    };
    names.split_whitespace().any(|known| known == name)
}

const RECEIVERS: &str = "
    active_directory_ds aerospike apache awscloudwatch awscontainerinsightreceiver awsecscontainermetrics
    awsfirehose awss3 awsxray azureblob azureeventhub azuremonitor carbon chrony cloudflare cloudfoundry collectd
    couchdb datadog docker_stats elasticsearch expvar filelog filestats fluentforward github googlecloudmonitoring
    googlecloudpubsub googlecloudspanner haproxy hostmetrics httpcheck iis influxdb jaeger jmx journald
    k8s_cluster k8s_events k8sobjects kafka kafkametrics kubeletstats loki memcached mongodb mongodbatlas mysql
    namedpipe netflow nginx nop nsxt opencensus oracledb otelarrow otlpjsonfile podman_stats postgresql prometheus
    prometheus_remote_write prometheus_simple pulsar purefa purefb rabbitmq receiver_creator redis riak saphana
    simpleprometheus skywalking snmp snowflake solace splunk_hec splunkenterprise sqlquery sqlserver sshcheck statsd
    stef syslog systemd tcplog tlscheck udplog vcenter wavefront webhookevent windowseventlog windowsperfcounters
    zipkin zookeeper";

const PROCESSORS: &str = "
    attributes coralogix cumulativetodelta deltatocumulative deltatorate dynamic_sampling
    experimental_metricsgeneration filter geoip groupbyattrs groupbytrace interval isolationforest k8sattributes
    logdedup logstransform lookup metricsgeneration metricstarttime metricstransform queuebatch redaction remotetap
    resource resourcedetection schema span span_pruning sumologic tail_sampling_dynamic transform unroll";

const EXPORTERS: &str = "
    alertmanager alibabacloud_logservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azureblob
    azuredataexplorer azuremonitor bmchelix carbon cassandra clickhouse coralogix datadog dataset doris elasticsearch
    faro googlecloud googlecloudpubsub googlecloudstorage googlemanagedprometheus honeycombmarker influxdb kafka
    logging logicmonitor logzio loki mezmo opencensus opensearch otelarrow otlpjson
    prometheus prometheusremotewrite pulsar rabbitmq sapm sematext sentry signalfx splunk_hec stef sumologic syslog
    tencentcloud_logservice tinybird xray zipkin";

const EXTENSIONS: &str = "
    ack asapauth avro_log_encoding awsproxy azure_auth basicauth bearertokenauth cgroupruntime db_storage
    docker_observer ecs_observer ecs_task_observer file_storage googleclientauth headers_setter healthcheckv2
    host_observer http_forwarder jaeger_encoding json_log_encoding k8s_leader_elector
    k8s_observer memory_limiter memory_ballast oauth2client oidc opamp otlp_encoding pebble_tail_storage pprof
    redis_storage remotetap sigv4auth solarwindsapmsettings sumologic text_encoding zipkin_encoding zpages";
